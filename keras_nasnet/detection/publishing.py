"""A detector as a folder with all that belongs to it, as `zoo publish` uploads it; and back from the Hub."""

import os
import shutil
import tempfile
from pathlib import Path

from keras_nasnet.common import checksum
from keras_nasnet.detection import report
from keras_nasnet.detection.garden import run_folder
from keras_nasnet.zoo.sources import hub

SUMS, CARD = checksum.SUMS, "README.md"
_CHECKPOINT = [
    f"{run_folder.CHECKPOINTS}/{name}" for name in ("checkpoint", "ckpt-1.index", "ckpt-1.data-00000-of-00001")
]
READ = (run_folder.PARAMS, run_folder.CLASS_NAMES, *_CHECKPOINT)  # all that a detector is loaded from


def on_this_machine(source: str | os.PathLike[str]) -> Path:
    """Returns the folder of a detector: of a run, of an export, or downloaded from "hf://ORG/NAME".

    Raises:
        ValueError: if there is none, or a published one is damaged.
    """
    text = os.fspath(source)
    if hub.is_address(text):
        folder = hub.download(text, (*READ, SUMS))
    else:
        folder = Path(source)
        if not folder.is_dir():
            raise ValueError(f"{text}: no such folder")
    checksum.check_sums(folder, READ, text)
    return folder


def prepare(source: str | os.PathLike[str], to: str, folder: Path, revision: str | None, licence: str) -> None:
    """Writes the folder that is published: the export, its results, a model card and checksums.

    Args:
        source: folder of a run or an export.
        to: the repository, "ORG/NAME".
        folder: to be written; one that was written before is replaced.
        revision: the branch, where it is not the main one.
        licence: of the weights.

    Raises:
        ValueError: if there is no detector, or the folder holds something else.
    """
    from keras_nasnet.detection.garden.exporting import export

    if folder.exists() and not (folder / SUMS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there and is no model's folder: choose another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as temporary:
        written = Path(temporary, "new")
        if (Path(source) / "saved_model.pb").is_file():
            shutil.copytree(on_this_machine(source), written)
        else:
            export(source, written)
        for name in (report.JSON_FILE, report.MARKDOWN_FILE):
            if (found := Path(source) / name).is_file():
                shutil.copyfile(found, written / name)
        files = sorted(file for file in written.rglob("*") if file.is_file())
        sums = [f"{checksum.sha256(file)}  {file.relative_to(written).as_posix()}\n" for file in files]
        (written / SUMS).write_text("".join(sums), encoding="utf-8")
        (written / CARD).write_text(write_card(written, to, revision, licence), encoding="utf-8")
        if folder.exists():
            os.replace(folder, Path(temporary, "old"))
        os.replace(written, folder)


def write_card(folder: Path, to: str, revision: str | None, licence: str) -> str:
    """Returns the text of README.md for a detector's folder."""
    from huggingface_hub import ModelCard, ModelCardData

    params, names = run_folder.read_params(folder), run_folder.read_class_names(folder)
    name = to.split("/")[-1]
    address = f"hf://{to}" + (f"@{revision}" if revision else "")
    network = params.task.model.backbone.get()
    data = ModelCardData(
        library_name="keras-nasnet",
        license=licence.lower(),
        pipeline_tag="object-detection",
        tags=["nasnet", "faster-rcnn", "tensorflow"],
    )
    table = folder / report.MARKDOWN_FILE
    results = f"\n## Results\n\n{table.read_text(encoding='utf-8')}" if table.is_file() else ""
    size = "N = {}, P = {}".format(
        network.num_blocks or "the variant's", network.penultimate_filters or "the variant's"
    )
    height, width = params.task.model.input_size[:2]
    return str(
        ModelCard(
            f"""---
{data.to_yaml()}
---

# {name}

A Faster R-CNN of the TensorFlow Model Garden on a NASNet ({network.model_id}, {size}) with a feature pyramid,
for images of {height} x {width} pixels. Classes: {", ".join(names)}.

## Use

    pip install 'keras-nasnet[detection]'
    keras-nasnet detect predict photo.jpg --model {address} --draw drawn/

```python
from keras_nasnet.detection import FasterRCNN

detector = FasterRCNN.load("{address}")
print(detector.predict(["photo.jpg"]))
```

The folder is a SavedModel too, which TensorFlow runs without that package.
{results}"""
        )
    )

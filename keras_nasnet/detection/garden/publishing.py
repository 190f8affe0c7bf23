"""A detector as a folder with all that belongs to it, as `zoo publish` uploads it."""

import os
import shutil
from pathlib import Path

from keras_nasnet.common import checksum
from keras_nasnet.common.documents import read_text
from keras_nasnet.common.escape import markdown
from keras_nasnet.common.files import replacing_folder
from keras_nasnet.detection import report
from keras_nasnet.detection.detector_folder import CHECKPOINTS, CLASS_NAMES, SUMS, locate, read_class_names
from keras_nasnet.detection.garden.exporting import write_export
from keras_nasnet.detection.garden.model import FasterRCNN
from keras_nasnet.detection.garden.params import read_params, without_paths, write_params

CARD = "README.md"
# What an export consists of.
EXPORTED = ("saved_model.pb", "fingerprint.pb", "variables", "assets", CHECKPOINTS, CLASS_NAMES)


def prepare(source: str | os.PathLike[str], to: str, folder: Path, revision: str | None, licence: str) -> None:
    """Write the folder that is published: the export, its results, a model card and checksums.

    Args:
        source: folder of a run or an export.
        to: the repository, "ORG/NAME".
        folder: to be written; one that was written before is replaced.
        revision: the branch, where it is not the main one.
        licence: of the weights.

    Raises:
        ValueError: if there is no detector, or the folder holds something else.

    Example:
        A run's folder becomes one to be published; here there is no run yet:

        >>> from pathlib import Path
        >>> prepare("runs/detect-raccoon", "org/raccoon", Path("published"), None, "Apache-2.0")
        Traceback (most recent call last):
        ValueError: runs/detect-raccoon: no such folder
    """
    if folder.exists() and not (folder / SUMS).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is there and is no model's folder: choose another name")
    found = locate(source)
    with replacing_folder(folder) as written:
        if (found / "saved_model.pb").is_file():
            for name in EXPORTED:  # and nothing else that lies there
                copy = shutil.copytree if (found / name).is_dir() else shutil.copyfile
                if (found / name).exists():
                    copy(found / name, written / name)
            write_params(without_paths(read_params(found)), written)
        else:
            write_export(FasterRCNN.load(found), written)
        for name in (report.JSON_FILE, report.MARKDOWN_FILE):
            if (found / name).is_file():
                shutil.copyfile(found / name, written / name)
        checksum.write_sums(written)
        (written / CARD).write_text(write_card(written, to, revision, licence), encoding="utf-8")


def write_card(folder: Path, to: str, revision: str | None, licence: str) -> str:
    """Return the text of README.md for a detector's folder."""
    from huggingface_hub import ModelCard, ModelCardData

    params, names = read_params(folder), read_class_names(folder)
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
    results = f"\n## Results\n\n{read_text(table)}" if table.is_file() else ""
    size = "N = {}, P = {}".format(
        network.num_blocks or "the variant's", network.penultimate_filters or "the variant's"
    )
    height, width = params.task.model.input_size[:2]
    return str(
        ModelCard(
            f"""---
{data.to_yaml()}
---

# {markdown(name)}

A Faster R-CNN of the TensorFlow Model Garden on a NASNet ({markdown(network.model_id)}, {markdown(size)}) with a
feature pyramid, for images of {height} x {width} pixels. Classes: {", ".join(map(markdown, names))}.

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

"""The model card of a published model: what people read and what the Hub's search and tables read."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from keras_nasnet.common.escape import markdown

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

# Names of datasets in tensorflow-datasets, and their addresses on the Hub.
_ON_THE_HUB = {"cifar10": "uoft-cs/cifar10", "imagenet2012": "ILSVRC/imagenet-1k"}
_METRICS = {
    "top1": ("accuracy", "Top-1 accuracy"),
    "top5": ("top-5-accuracy", "Top-5 accuracy"),
    "ece": ("expected_calibration_error", "Expected calibration error"),
}
_CITATION = """\
@inproceedings{zoph2018learning,
  title={Learning Transferable Architectures for Scalable Image Recognition},
  author={Zoph, Barret and Vasudevan, Vijay and Shlens, Jonathon and Le, Quoc V.},
  booktitle={CVPR},
  year={2018}
}"""


@dataclass(frozen=True)
class Origin:
    """What is known of a model beside what it is.

    Args:
        description: a line.
        licence: of the weights, as the Hub abbreviates it: "apache-2.0".
        dataset: what it was trained on. Only a set that is known to be on the Hub, by its name in
            tensorflow-datasets, gets into the metadata.
        metrics: results measured by us, as the catalog has them.
        published: results published elsewhere, likewise.
        recipe: of the training, as TOML; "" where there is none.
    """

    description: str
    licence: str
    dataset: str = ""
    metrics: Sequence[dict[str, Any]] = ()
    published: Sequence[dict[str, Any]] = ()
    recipe: str = ""


def write_card(model: "NASNet", repo: str, revision: str | None, origin: Origin) -> str:
    """Return the text of README.md.

    Args:
        model: that is published.
        repo: where, "ORG/NAME".
        revision: the branch, where it is not the main one.
        origin: of the model.
    """
    from huggingface_hub import ModelCard, ModelCardData

    name = repo.split("/")[-1]
    address = f"hf://{repo}" + (f"@{revision}" if revision else "")
    dataset = _ON_THE_HUB.get(origin.dataset, "")
    data = ModelCardData(
        library_name="keras",
        license=origin.licence.lower(),
        pipeline_tag="image-classification" if model.get_config()["include_top"] else "image-feature-extraction",
        tags=["keras-nasnet", "nasnet", "image-classification", "arxiv:1707.07012"],
        datasets=[dataset] if dataset else None,
        model_name=name,
        eval_results=[_eval_result(result, dataset) for result in origin.metrics] or None,
    )
    sections = [
        f"# {markdown(name)}\n\n{markdown(origin.description)}.",
        _facts(model),
        _usage(model, address),
        _results(origin),
        f"## Training\n\n{_fenced(origin.recipe.strip(), 'toml')}" if origin.recipe else "",
        f"## Licence and source\n\n{markdown(origin.licence)}. The architecture:\n\n{_fenced(_CITATION, 'bibtex')}",
    ]
    text = "\n\n".join(section for section in sections if section)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{text}\n"))


def _eval_result(result: dict[str, Any], dataset: str) -> Any:
    from huggingface_hub import EvalResult

    name, _, split = result["data"].split(",")[0].rpartition(" ")  # "CIFAR-10 test, 10,000 images"
    metric, pretty = _METRICS.get(result["name"], (result["name"], result["name"]))
    return EvalResult(
        task_type="image-classification",
        dataset_type=dataset or "imagefolder",
        dataset_name=name or split,
        dataset_split=split if name else None,
        metric_type=metric,
        metric_name=pretty,
        metric_value=result["value"],
    )


def _facts(model: "NASNet") -> str:
    from keras_nasnet.models.complexity import mult_adds

    config, shape = model.get_config(), model.inputs[0].shape[1:]
    blocks = config["num_blocks"]
    size = f"{blocks if isinstance(blocks, int) else ', '.join(map(str, blocks))} @ {config['penultimate_filters']}"
    genotype = markdown(config["genotype"]["name"] or "a genotype of its own")
    rows = [("network", f"{genotype}, {size}, {config['stem']} stem"), ("parameters", f"{model.count_params():,}")]
    if None not in shape:
        rows.append(("multiply-adds for an image", f"{mult_adds(model):,}"))
    if model.class_names is not None:
        rows.append(("classes", str(len(model.class_names))))
    preprocessing = model.preprocessing
    side = "any size" if preprocessing.height is None else f"{preprocessing.height} x {preprocessing.width} pixels"
    crop = (
        "squashed to that size"
        if preprocessing.crop_fraction is None
        else f"central crop of {100 * preprocessing.crop_fraction:g} %"
    )
    rows.append(("input", f"{side}, {crop}, {preprocessing.interpolation}"))
    rows.append(("mean and deviation of pixels 0..255", f"{list(preprocessing.mean)}, {list(preprocessing.std)}"))
    return "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in rows)])


def _usage(model: "NASNet", address: str) -> str:
    lines = ["import keras_nasnet", "", f'model = keras_nasnet.load("{address}")']
    if model.get_config()["include_top"]:
        which = '["predictions"]' if model.get_config()["auxiliary_head"] else ""
        lines.append(f'probabilities = model.predict(model.preprocess(["photo.jpg"])){which}')
        what = "model.class_names[probabilities[0].argmax()]" if model.class_names else "probabilities[0].argmax()"
        lines.append(f"print({what})")
    else:
        lines.append('features = model.predict(model.preprocess(["photo.jpg"]))')
    code = "\n".join(lines)
    text = f"## Use\n\nWith the package keras-nasnet:\n\n```python\n{code}\n```\n\n"
    if model.get_config()["include_top"]:
        text += f"or `keras-nasnet classify photo.jpg --model {address}`. "
    if "@" not in address:  # Keras knows no revisions
        text += f'After `import keras_nasnet`,\n`keras.saving.load_model("{address}")` returns the same model.'
    return text.strip()


def _results(origin: Origin) -> str:
    lines = []
    for result in origin.metrics:
        how = ", ".join(str(result[key]) for key in ("script", "hardware", "date") if key in result)
        lines.append(_row(result["name"], _shown(result), result["data"], f"measured: {how}"))
    for result in origin.published:
        source = f"published, not rerun here: {result['source']}"
        lines.append(_row(result["name"], _shown(result), result["data"], source))
    return "\n".join(["## Results\n\n| | | images | |", "|---|---|---|---|", *lines]) if lines else ""


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(markdown, cells))} |"


def _fenced(code: str, language: str) -> str:
    """A block of code, which no line in it ends."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
    return f"{fence}{language}\n{code}\n{fence}"


def _shown(result: dict[str, Any]) -> str:
    return f"{100 * result['value']:.2f} %" if result["name"].startswith("top") else f"{result['value']:g}"

"""Writes docs/results.md: our nets measured on their test images, others' results as they were published.

python scripts/make_results.py --data-dir ~/tensorflow_datasets

Reads CIFAR-10 through tensorflow-datasets (extra `[data]`). Refuses to write where a
measured accuracy is not the one in the catalog.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from keras_nasnet import zoo
from keras_nasnet.common.files import write_text
from keras_nasnet.zoo.evaluation import MARKDOWN_HEADER, ClassificationMetrics

OUT = Path(__file__).parents[1] / "docs" / "results.md"
DATA = {"CIFAR-10 test": "tfds:cifar10"}  # by the beginning of what an entry's metrics call it
TOLERANCE = 5e-4  # of accuracy: other processors round otherwise


def measure(entry: zoo.Entry, data_dir: str | None) -> ClassificationMetrics:
    """Evaluate one of our nets on the data of its metrics."""
    name = entry.name
    metric = next(metric for metric in entry.metrics if metric["name"] == "top1")
    found = zoo.evaluate(name, DATA[metric["data"].split(",")[0]], data_dir=data_dir)
    if abs(found.top1 - metric["value"]) > TOLERANCE:
        raise SystemExit(f"{name}: top-1 is {found.top1:.4f}, the catalog says {metric['value']}: correct its entry")
    return found


def page(evaluations: Sequence[ClassificationMetrics], entries: Sequence[zoo.Entry]) -> str:
    """Return the text of docs/results.md.

    Args:
        evaluations: of our nets, made on one machine.
        entries: of the catalog.
    """
    first = evaluations[0]
    versions = ", ".join(f"{name} {version}" for name, version in first.versions.items())
    parts = [
        "# Results",
        f"Written by `python scripts/make_results.py` on {first.date}; {first.hardware}; {versions}.",
        "## Measured here",
        "By `keras-nasnet evaluate`, on all images of the split. ECE is the expected calibration error, in 15 equally\n"
        "wide bins of the most probable class's probability; images/s includes the reading of the images.",
        "\n".join([MARKDOWN_HEADER, *(evaluation.to_markdown_row() for evaluation in evaluations)]),
        *(per_class(evaluation) for evaluation in evaluations),
        "## Published, not rerun here",
        "What others measured with these weights. ImageNet is given to registered researchers only; none of this was\n"
        "measured again; `keras-nasnet evaluate NAME --data tfds:imagenet2012` does that where the images are.",
        published(entries),
    ]
    return "\n\n".join(parts) + "\n"


def per_class(evaluation: ClassificationMetrics) -> str:
    """Return a title and a table."""
    rows = [f"| {one.name} | {one.images:,} | {100 * (one.recall or 0):.2f} % |" for one in evaluation.per_class]
    title = f"Class by class, `{evaluation.model}`:\n"
    return "\n".join([title, "| class | images | recall |", "|---|---|---|", *rows])


def published(entries: Sequence[zoo.Entry]) -> str:
    """Return a table of the results of others."""
    rows = [
        f"| {entry.name} | {result['data']} | {result['name']} | {100 * result['value']:g} % | {result['source']} |"
        for entry in entries
        for result in entry.published
    ]
    return "\n".join(["| model | data | result | published | source |", "|---|---|---|---|---|", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", default=None, help="where tensorflow-datasets keeps its data")
    arguments = parser.parse_args()
    entries = [zoo.info(name) for name in zoo.list()]
    text = page([measure(entry, arguments.data_dir) for entry in entries if entry.metrics], entries)
    write_text(OUT, text)
    print(f"wrote {OUT}")


if __name__ == "__main__":
    main()

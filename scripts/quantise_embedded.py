"""Prints what few bits cost the net of the package: its CIFAR-10 test accuracy in each runtime, in float and in int8.

    python scripts/quantise_embedded.py                    # the runtimes that are installed
    python scripts/quantise_embedded.py --to openvino --data-dir ~/tensorflow_datasets

Calibrated on training images, the same ones for each runtime. Data comes through tensorflow-datasets (extra
`[data]`). The exit code is 1 if an int8 export loses more than half a point.
"""

import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import click
import numpy as np
from PIL import Image

import keras_nasnet
from keras_nasnet.accelerate.quiet import quiet
from keras_nasnet.data import open_dataset
from keras_nasnet.inference.engines.registry import ENGINES
from keras_nasnet.inference.exporting import WEIGHTS, export
from keras_nasnet.inference.formats.registry import FORMATS
from keras_nasnet.models.predictor import Predictor, Runner

MODEL = "nasnet_a_cifar10"
MOST_LOST = 0.5  # points
BATCH = 250


def accuracy(runner: Runner | Predictor, images: np.ndarray, labels: np.ndarray) -> float:
    """Returns the part of the preprocessed images that are classified right, in percent."""
    right = 0
    for start in range(0, len(images), BATCH):
        part = slice(start, start + BATCH)
        found = runner.predict(images[part]) if isinstance(runner, Predictor) else runner.run(images[part])
        right += int((found.argmax(-1) == labels[part]).sum())
    return 100 * right / len(images)


@click.command(help=__doc__.splitlines()[0])
@click.option("--to", type=click.Choice([name for name in FORMATS if FORMATS.get(name).int8]), multiple=True)
@click.option("--data-dir", help="Where tensorflow-datasets keeps its data.")
@click.option("--calibrated", default=300, show_default=True, help="Training images of the calibration.")
def main(to: tuple[str, ...], data_dir: str | None, calibrated: int) -> None:
    model = keras_nasnet.load(MODEL)
    data = open_dataset("cifar10", image_size=None, data_dir=data_dir)
    assert data.test is not None
    test = list(data.test.eval_batches(BATCH))
    images = model.preprocess(np.concatenate([batch for batch, _ in test]))
    labels = np.concatenate([batch for _, batch in test])
    lost = exact = 0.0
    print(f"{MODEL} on {len(images)} test images of CIFAR-10, calibrated on {calibrated} training images\n")
    print("| runtime | float32 | int8 weights | full int8 | bytes: float32 | int8 weights | full int8 |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "calibration")
        folder.mkdir()
        pixels = next(iter(data.train.eval_batches(calibrated)))[0]
        for number, image in enumerate(pixels):
            Image.fromarray(np.asarray(image).astype(np.uint8)).save(folder / f"{number:05}.png")
        for form in map(FORMATS.get, FORMATS):
            if not form.int8 or (to and form.name not in to):
                continue
            try:
                form.require(writing=True)
            except ImportError as error:
                print(error, file=sys.stderr)
                continue
            scores, sizes = [], []
            for kind, int8 in {None: None, "weights": WEIGHTS, "full": str(folder)}.items():
                if kind is not None and kind not in form.int8:
                    scores.append("")
                    sizes.append("")
                    continue
                path = export(model, form.name, Path(temporary, f"{kind}{form.suffix}"), int8=int8)
                with quiet():
                    score = accuracy(form.read(path), images, labels)
                if kind is None:
                    exact = score
                lost = max(lost, exact - score)
                scores.append(f"{score:.2f} %" if kind is None else f"{score:.2f} % ({score - exact:+.2f})")
                sizes.append(str(sum(file.stat().st_size for file in Path(temporary).glob(f"{kind}.*"))))
                for file in Path(temporary).glob(f"{kind}.*"):
                    file.unlink()
            print("|", " | ".join([form.name, *scores, *sizes]), "|", flush=True)
    if not to and ENGINES.get("openvino").is_installed:
        score = accuracy(model.predictor("openvino", "bfloat16"), images, labels)
        print(f"\nBy OpenVINO in bfloat16: {score:.2f} %.")
    print(f"\nAt most {lost:.2f} points are lost; the bar is {MOST_LOST}.")
    sys.exit(int(lost > MOST_LOST))


if __name__ == "__main__":
    main()

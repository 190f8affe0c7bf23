"""Trains the CIFAR-10 NASNet-A that the package ships, and prints its test accuracy.

    python scripts/train_embedded.py --folder runs/embedded        # again to resume
    python scripts/train_embedded.py --evaluate                     # the shipped file

Reads CIFAR-10 through tensorflow-datasets (extra `[data]`). Trains on the 50,000 training
images in two rounds and looks at the 10,000 test images once, at the end: a first one here
that spends most epochs on smaller images, and from its weights a second one by the package's own loop.
A run that was interrupted, by Ctrl-C or worse, continues from its last checkpoint with the same
order of images.
"""

import argparse
import datetime
import os
import platform
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

import keras_nasnet.training
from keras_nasnet import NASNet
from keras_nasnet.cli.errors import reporting_errors
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.data import open_dataset
from keras_nasnet.data.arrays import ArraySplit, into_memory
from keras_nasnet.models.weights import copy_weights, save_model
from keras_nasnet.training import Recipe
from keras_nasnet.zoo.formats import weights_file

SEED = 0
# The network: one, two and three normal cells at 32, 16 and 8 pixels, F = 16, a narrow stem.
BUILDER: dict[str, Any] = {
    "genotype": "nasnet_a",
    "num_blocks": (1, 2, 3),
    "penultimate_filters": 384,
    "stem_filters": 16,
}
# Most epochs see smaller images, at half the cost; the learning rate falls to 0 in the last phase.
PHASES = ((24, 8), (32, 6))  # (pixels, epochs)
BATCH = 64
LEARNING_RATE = 0.1
WARM_UP_STEPS = 400
WEIGHT_DECAY = 5e-3  # decoupled; with momentum 0.9 as strong as an L2 of 5e-4
CLIP_NORM = 5.0
MAX_SHIFT = 2  # pixels
CHECKPOINT_STEPS = 200
# The second round: up again to half the rate, and down, all at full size.
SECOND = Recipe(
    "embedded",
    dataset="cifar10",
    augmentation="pad_crop_flip",
    batch=BATCH,
    epochs=8,
    learning_rate=0.05,
    schedule="one_cycle",
    warm_up_epochs=1.0,
    weight_decay=5e-4,
    clip_norm=CLIP_NORM,
    batch_norm_momentum=0.99,
    seed=SEED,
)
# Mean and standard deviation of the training images' pixels, 0..255.
MEAN = (125.307, 122.950, 113.865)
STD = (62.993, 62.089, 66.705)


def load_split(part: str, data_dir: str | None) -> tuple[ArraySplit, tuple[str, ...]]:
    """Returns "train" or "test" of CIFAR-10, and the names of the classes."""
    dataset = open_dataset("cifar10", image_size=None, data_dir=data_dir, in_memory=False)
    return into_memory(getattr(dataset, part), len(dataset.class_names)), dataset.class_names


def resize(images: np.ndarray, pixels: int) -> np.ndarray:
    """Resizes a stack of images, antialiased."""
    if images.shape[1] == pixels:
        return images
    size = (pixels, pixels)
    return np.stack([np.asarray(Image.fromarray(i).resize(size, Image.Resampling.BILINEAR)) for i in images])


def augment(images: np.ndarray, flips: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Shifts each image by up to MAX_SHIFT pixels, mirroring the border, and flips those that are told to."""
    pixels = images.shape[1]
    padded = np.pad(images, ((0, 0), (MAX_SHIFT,) * 2, (MAX_SHIFT,) * 2, (0, 0)), mode="reflect")
    shifts = generator.integers(0, 2 * MAX_SHIFT + 1, size=(len(images), 2))
    moved = np.stack([image[y : y + pixels, x : x + pixels] for image, (y, x) in zip(padded, shifts, strict=True)])
    return np.where(flips[:, None, None, None], moved[:, :, ::-1], moved)


def learning_rate(step: int, flat_steps: int, all_steps: int) -> float:
    """Linear warm-up, constant, then linear to 0 from `flat_steps` on."""
    warm_up = min(1.0, (step + 1) / WARM_UP_STEPS)
    return LEARNING_RATE * warm_up * min(1.0, (all_steps - step) / (all_steps - flat_steps))


class Checkpoint:
    """All variables and the number of steps taken, in one file that is replaced whole."""

    def __init__(self, path: Path, variables: list[keras.Variable]):
        self.path = path
        self.variables = variables

    def save(self, step: int) -> None:
        temporary = self.path.with_suffix(".tmp.npz")
        arrays = {str(i): keras.ops.convert_to_numpy(v) for i, v in enumerate(self.variables)}
        np.savez(temporary, step=step, **arrays)
        os.replace(temporary, self.path)

    def load(self) -> int:
        if not self.path.exists():
            return 0
        with np.load(self.path) as arrays:
            for i, variable in enumerate(self.variables):
                variable.assign(arrays[str(i)])
            return int(arrays["step"])


def first_round(folder: Path, data_dir: str | None, out: Path) -> None:
    """Trains from scratch, and writes a `.keras` file."""
    keras.utils.set_random_seed(SEED)
    folder.mkdir(parents=True, exist_ok=True)
    data, class_names = load_split("train", data_dir)
    images, labels = data.images, data.labels.astype(np.int64)
    network = {
        **BUILDER,
        "stem": "cifar",
        "classes": len(class_names),
        "class_names": class_names,
        "classifier_activation": None,
        "batch_norm_momentum": 0.99,
        "input_shape": (None, None, 3),
        "preprocessing": Preprocessing(32, 32, mean=MEAN, std=STD),
    }
    model = NASNet(**network)
    optimizer = keras.optimizers.SGD(
        LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=WEIGHT_DECAY, global_clipnorm=CLIP_NORM
    )
    optimizer.exclude_from_weight_decay(var_names=["gamma", "beta", "bias"])
    optimizer.build(model.trainable_variables)
    checkpoint = Checkpoint(folder / "checkpoint.npz", [*model.variables, *optimizer.variables])
    step = checkpoint.load()

    @tf.function(jit_compile=False, reduce_retracing=True)
    def train_step(batch: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        with tf.GradientTape() as tape:
            logits = model((tf.cast(batch, tf.float32) - MEAN) / STD, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
        optimizer.apply(tape.gradient(loss, model.trainable_variables))
        hits = tf.reduce_mean(tf.cast(tf.argmax(logits, -1) == targets, tf.float32))
        return loss, hits

    steps = len(images) // BATCH
    sizes = [pixels for pixels, epochs in PHASES for _ in range(epochs)]
    flat_steps = steps * (len(sizes) - PHASES[-1][1])
    resized, resized_to = images, 32
    try:
        while step < steps * len(sizes):
            epoch = step // steps
            if resized_to != sizes[epoch]:
                resized_to = sizes[epoch]
                resized = resize(images, resized_to)
            # All that is random in an epoch follows from the seed and its number.
            generator = np.random.default_rng((SEED, epoch))
            order = generator.permutation(len(images))
            # An image that was flipped in one epoch is not in the next.
            flipped = (np.random.default_rng(SEED).random(len(images)) < 0.5) ^ bool(epoch % 2)
            losses, hits, start, begun = [], [], time.monotonic(), step % steps
            while step // steps == epoch:
                at = step % steps
                chosen = order[at * BATCH : (at + 1) * BATCH]
                batch = augment(resized[chosen], flipped[chosen], np.random.default_rng((SEED, epoch, at)))
                optimizer.learning_rate.assign(learning_rate(step, flat_steps, steps * len(sizes)))
                loss, hit = train_step(tf.constant(batch), tf.constant(labels[chosen]))
                losses.append(float(loss))
                hits.append(float(hit))
                if not np.isfinite(losses[-1]):
                    raise SystemExit(f"the loss is {losses[-1]} at step {step}: last good state in {checkpoint.path}")
                step += 1
                if step % CHECKPOINT_STEPS == 0 or step % steps == 0:
                    checkpoint.save(step)
                    rate = (at + 1 - begun) * BATCH / (time.monotonic() - start)
                    left = (steps * len(sizes) - step) * BATCH / rate / 60
                    print(
                        f"epoch {epoch + 1}/{len(sizes)} step {at + 1}/{steps} {resized_to} px "
                        f"loss {np.mean(losses[-200:]):.3f} accuracy {np.mean(hits[-200:]):.3f} "
                        f"{rate:.0f} images/s, {left:.0f} min left at this rate",
                        flush=True,
                    )
    except KeyboardInterrupt:
        checkpoint.save(step)
        raise SystemExit(f"interrupted at step {step}: the same command goes on from there") from None
    trained = NASNet(**network | {"input_shape": (32, 32, 3)})
    copy_weights(model, trained, head=True)
    save_model(trained, out)


def train(folder: Path, data_dir: str | None, out: Path) -> None:
    """Both rounds, each from where it stopped; writes the weights file."""
    start = folder / "first.keras"
    if not start.exists():
        first_round(folder, data_dir, start)
    recipe = replace(SECOND, variant=str(start))
    result = keras_nasnet.training.train(recipe, folder / "second", data_dir=data_dir, resume=True)
    weights_file.save(result.network, out, dtype="float16")
    print(f"wrote {out}: {out.stat().st_size:,} bytes")


def evaluate(path: Path, data_dir: str | None) -> None:
    """Prints the accuracy of a weights file on the 10,000 test images."""
    data, class_names = load_split("test", data_dir)
    images, labels = data.images, data.labels
    model = NASNet(
        **BUILDER,
        stem="cifar",
        classes=len(class_names),
        preprocessing=Preprocessing(32, 32, mean=MEAN, std=STD),
    )
    weights_file.load(path, model)
    predicted = model.predict(model.preprocess(images), batch_size=256, verbose=0).argmax(-1)
    right = int((predicted == labels).sum())
    print(
        f"{path.name}: {right} of {len(labels)} test images right ({100 * right / len(labels):.2f} %), "
        f"{model.count_params():,} parameters; seed {SEED}, keras {keras.__version__} on "
        f"{keras.backend.backend()}, {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{datetime.date.today()}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("runs/embedded"), help="checkpoints go here")
    parser.add_argument("--data-dir", default=None, help="where tensorflow-datasets keeps its data")
    parser.add_argument("--evaluate", action="store_true", help="only measure the weights file")
    default_out = Path(__file__).parents[1] / "zoo" / "weights" / "nasnet_a_cifar10.safetensors"
    parser.add_argument("--out", type=Path, default=default_out, help="weights file")
    arguments = parser.parse_args()
    if not arguments.evaluate:
        with reporting_errors():
            train(arguments.folder, arguments.data_dir, arguments.out)
    evaluate(arguments.out, arguments.data_dir)


if __name__ == "__main__":
    main()

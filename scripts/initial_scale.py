"""Prints how large the activations of networks without training are, as they start and as the released code's would.

    python scripts/initial_scale.py --seed 0
    python scripts/initial_scale.py --seed 0 --train tfds:cifar10   # instead: the first 200 steps of training

The first table is of networks in inference, on noise in [-1, 1]; the second of NASNet-A 1 @ 192.
"""

import datetime
from collections.abc import Iterator
from typing import Any

import click
import keras
import numpy as np

from keras_nasnet import NASNet
from keras_nasnet.common.hardware import hardware
from keras_nasnet.data import open_dataset
from keras_nasnet.data.arrays import into_memory
from keras_nasnet.genotype import Genotype
from keras_nasnet.search.space.registry import get_space

STEPS, BATCH, TRAINED_ON, TESTED_ON = 200, 32, 5000, 1000
# Whether moving variances are the released code's, and whether the classifier is Glorot's.
STARTS = {"as released": (True, False), "the default": (False, False), "and Glorot's classifier": (False, True)}


def networks(seed: int) -> Iterator[tuple[str, keras.Model]]:
    """Yields networks without training, each with its name; their outputs are logits."""
    rng, space = np.random.default_rng(seed), get_space("nasnet")
    image: dict[str, Any] = {"input_shape": (224, 224, 3), "classifier_activation": None}
    small: dict[str, Any] = {"input_shape": (32, 32, 3), "classifier_activation": None, "classes": 10, "stem": "cifar"}
    yield "NASNet-A 4 @ 1056, 224 pixels, 1000 classes", NASNet("nasnet_a", 4, 1056, **image)
    name = "NASNet-A 6 @ 1008, 224 pixels, 1000 classes (Large, a quarter as wide)"
    yield name, NASNet("nasnet_a", 6, 1008, skip_reduction=True, **image)
    yield "NASNet-A 6 @ 384, 32 pixels, 10 classes", NASNet("nasnet_a", 6, 384, **small)
    for number in range(1, 4):
        genotype = space.genotype(space.sample(rng))
        assert isinstance(genotype, Genotype)
        name = f"random genotype {number}, 20 cells, 32 pixels, 10 classes"
        yield name, NASNet(genotype, 6, len(genotype.normal.outputs[0]) * 4 * 16, **small)


def start_as_released(model: keras.Model) -> None:
    """Gives an untrained network the released code's moving variances."""
    for layer in model.batch_norms():
        layer.moving_variance.assign(np.ones(layer.moving_variance.shape))


def in_inference(model: keras.Model) -> tuple[float, float]:
    """Returns the largest feature, and the deviation of the logits."""
    images = np.random.default_rng(0).uniform(-1, 1, (4, *model.input_shape[1:])).astype("float32")
    features = model.get_layer("predictions").input
    pooled = keras.Model(model.inputs, [features, model.outputs[0]])(images, training=False)
    return float(np.max(pooled[0])), float(np.std(pooled[1]))


def print_inference(seed: int) -> None:
    print("| network | largest pooled feature | as released | deviation of the logits | as released |")
    print("|---|---|---|---|---|")
    for name, model in networks(seed):
        ours = in_inference(model)
        start_as_released(model)
        released = in_inference(model)
        cells = (f"{one:.2g} | {other:.2g}" for one, other in zip(ours, released, strict=True))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def print_training(data: str, seed: int) -> None:
    dataset = open_dataset(data, image_size=None, in_memory=True)
    assert dataset.test is not None
    train, test = (into_memory(split, len(dataset.class_names)) for split in (dataset.train, dataset.test))
    rng = np.random.default_rng(seed)
    chosen = [rng.permutation(len(split.labels))[:n] for split, n in ((train, TRAINED_ON), (test, TESTED_ON))]
    batches = [rng.permutation(chosen[0])[:BATCH] for _ in range(STEPS)]
    tested = test.images[chosen[1]] / 127.5 - 1, test.labels[chosen[1]]
    print("| | loss of steps 1-10 | 41-50 | 81-100 | 151-200 | test loss untrained | after 25 steps | after 200 |")
    print("|---|---|---|---|---|---|---|---|")
    for name, (released, glorot) in STARTS.items():
        keras.utils.set_random_seed(seed)
        model = NASNet(
            "nasnet_a", 1, 192, stem="cifar", classes=len(dataset.class_names), input_shape=train.images.shape[1:],
            classifier_activation=None, batch_norm_momentum=0.97,
        )  # fmt: skip
        if released:
            start_as_released(model)
        if glorot:
            kernel = model.get_layer("predictions").kernel
            kernel.assign(keras.initializers.GlorotNormal(seed)(kernel.shape))
        optimizer = keras.optimizers.SGD(0.025, momentum=0.9, global_clipnorm=5.0)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer, loss)
        losses, tests = [], [model.evaluate(*tested, batch_size=100, verbose=0)]
        for step, batch in enumerate(batches, start=1):
            losses.append(float(model.train_on_batch(train.images[batch] / 127.5 - 1, train.labels[batch])))
            model.reset_metrics()
            if step in (25, STEPS):
                tests.append(model.evaluate(*tested, batch_size=100, verbose=0))
        parts = [np.mean(losses[first - 1 : last]) for first, last in ((1, 10), (41, 50), (81, 100), (151, 200))]
        print(f"| {name} | {' | '.join(f'{number:.2f}' for number in (*parts, *tests))} |", flush=True)


@click.command(help=__doc__.split("\n\n")[0] if __doc__ else None)
@click.option("--seed", default=0, show_default=True)
@click.option("--train", metavar="DATA", help="An .npz file or a dataset of tensorflow-datasets to train on.")
def main(seed: int, train: str | None) -> None:
    keras.utils.set_random_seed(seed)
    if train is None:
        print_inference(seed)
    else:
        print_training(train, seed)
    print(f"seed {seed}; {hardware()}, keras {keras.__version__} on {keras.backend.backend()}, {datetime.date.today()}")


if __name__ == "__main__":
    main()

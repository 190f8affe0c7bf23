"""Zero cost: what can be told of a child without training it."""

import gc
import math
import os
import time
from typing import Any

import numpy as np
from keras import ops

from keras_nasnet.accelerate.backends import standard_settings
from keras_nasnet.accelerate.weightless import weightless
from keras_nasnet.common.hardware import hardware
from keras_nasnet.data.split import Dataset
from keras_nasnet.genotype import Genotype
from keras_nasnet.layers.relu import observe_rectified
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.complexity import mult_adds
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.contract import Evaluator
from keras_nasnet.search.evaluators.data import PAPER_HELD_OUT, check_search_data, open_search_data
from keras_nasnet.search.trial import Fidelity, Result

SCORES = ("naswot", "params", "mult_adds")


class ZeroCost(Evaluator):
    """A judge that trains nothing: NASWOT of one batch of images, or the child's size, which a proxy must beat.

    The reward is the score as it is, of use to rank children and no accuracy; `extra` has all
    of `SCORES`. Of the fidelity only `filters` and `num_blocks` count. The images are the same
    for all children; labels are not read, and test images are out of reach.

    Args:
        data: "digits", a folder, an .npz file, or a set of tensorflow-datasets; or a `Dataset` without test split.
        held_out: training images that are left to judge trained children.
        batch: how many images, 2 or more.
        score: which of `SCORES` is the reward.
        seed: of the choice of the images.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        image_size: side in pixels to which images are cropped and scaled; default: as they are, and 32 in folders.

    Source: Mellor et al. 2021, "Neural Architecture Search without Training".

    Raises:
        ValueError: if an option is wrong, there is no such dataset, or it has test images.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | Dataset,
        held_out: int = PAPER_HELD_OUT,
        batch: int = 64,
        score: str = "naswot",
        seed: int = 0,
        data_dir: str | None = None,
        image_size: int | None = None,
    ):
        if score not in SCORES:
            raise ValueError(f"score is {score!r}: choose from {', '.join(SCORES)}")
        if not isinstance(data, Dataset):
            data = open_search_data(data, held_out, seed, data_dir, image_size)
        dataset = data
        check_search_data(dataset)
        if not 2 <= batch <= dataset.train.size:
            raise ValueError(f"batch is {batch}: it must be from 2 to the {dataset.train.size} training images")
        images, _ = next(iter(dataset.train.train_batches(batch, epoch=0, seed=seed)))
        self.images = ops.convert_to_tensor(images / np.float32(127.5) - 1)
        self.classes = len(dataset.class_names)
        self.score = score
        # A child is thousands of objects: else each look for garbage goes through all of Keras' and TensorFlow's too.
        gc.collect()
        gc.freeze()

    @standard_settings()
    def evaluate(
        self, genotype: Genotype | str, fidelity: Fidelity, seed: int, folder: str | os.PathLike[str]
    ) -> Result:
        """Score a child; see `Evaluator.evaluate`. The seed is that of the weights; nothing is kept in the folder."""
        begun = time.monotonic()
        with weightless():
            child = make_child(genotype, fidelity, self.classes, self.images.shape[1:], seed)
            scores = {
                "naswot": naswot(child, self.images),
                "params": sum(math.prod(weight.shape) for weight in child.trainable_weights),
                "mult_adds": mult_adds(child),
            }
        return Result(
            reward=float(scores[self.score]),
            params=int(scores["params"]),
            mult_adds=int(scores["mult_adds"]),
            seconds=time.monotonic() - begun,
            device=hardware(),
            extra={name: float(value) for name, value in scores.items()},
        )


def naswot(network: NASNet, images: Any) -> float:
    """Return how differently a network's ReLUs see the images of a batch: log det(K + 1).

    The code of an image says of each output of each ReLU whether it is above zero; K counts
    for each two images how many bits of their codes are equal. Normalization is that of
    training. The 1 is not in the paper: it changes scores by less than rounding does, and
    makes one of K that is singular, as it is where two images have one code, which
    is 0 or more and lowest where all have.

    Args:
        network: whose weights are random.
        images: floats of shape (batch, height, width, 3), preprocessed.

    Source: Mellor et al. 2021, equations 1 and 2, summed over ReLUs as in their code.
    """
    both = np.zeros((len(images), len(images)))  # for each two images, the bits that are 1 in both
    bits = 0

    def observe(rectified: Any) -> None:
        nonlocal both, bits
        codes = (ops.convert_to_numpy(rectified).reshape(len(images), -1) > 0).astype("float32")
        both += codes @ codes.T  # NumPy sees that it is symmetric, and computes half of it
        bits += codes.shape[1]

    with observe_rectified(observe):
        network(images, training=True)
    ones = np.diag(both)
    kernel = both + (bits - ones[:, None] - ones[None, :] + both)
    return float(np.linalg.slogdet(kernel + np.eye(len(kernel)))[1])

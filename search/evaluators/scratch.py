"""Scratch: the paper's way to judge a child: train it, and count the held-out images that it gets right."""

import gc
import math
import os
import time
from dataclasses import replace
from pathlib import Path

from keras_nasnet.accelerate.backends import standard_settings
from keras_nasnet.common.errors import Diverged
from keras_nasnet.common.hardware import hardware
from keras_nasnet.data.arrays import ArraySplit, into_memory
from keras_nasnet.data.split import Dataset, held_out_indices
from keras_nasnet.genotype import Genotype
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.complexity import mult_adds
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.child_training import train_child
from keras_nasnet.search.evaluators.contract import Evaluator
from keras_nasnet.search.evaluators.data import (
    PAPER_HELD_OUT,
    check_augmentation,
    check_search_data,
    fitting_batch,
    open_search_data,
)
from keras_nasnet.search.trial import Error, Fidelity, Result
from keras_nasnet.training.checkpoint import Checkpoint
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.recipe import Recipe

CHILD_FILE = "child.safetensors"
PARENT_FILE = "parent.safetensors"


class Scratch(Evaluator):
    """The paper's judge: trains each child from random weights; the reward is its accuracy on held-out images.

    Children are trained by momentum SGD with a cosine schedule.

    Fidelity: `epochs`; `images`, a fixed choice of as many of each class; `filters` and
    `num_blocks`; `accumulate`; `warm_start`, which goes on from `parent.safetensors` in the
    child's folder: the epochs that it took are not taken again, the schedule goes on.

    The test images are out of reach: the dataset is opened without them.

    Args:
        data: "digits", a folder, an .npz file, or a set of tensorflow-datasets; or a `Dataset` without test split.
        held_out: training images on which children are judged.
        batch: examples of one step, over all devices; a quarter of the training images where they are fewer.
        learning_rate: the highest of the schedule.
        weight_decay: factor of the L2 penalty on kernels.
        clip_norm: gradients are scaled to at most this global norm; 0 for no clipping.
        augmentation: a name in `training.AUGMENTATIONS`, of one that does not crop images as they are read.
        strategy: the devices that share a batch, one of `training.recipe.STRATEGIES`.
        dtype: one of `training.recipe.DTYPES`.
        seed: of the choice of the held-out and of the fewer images.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        image_size: side in pixels to which images are cropped and scaled; default: as they are, and 32 in folders.
        keep_weights: whether each child's weights stay in its folder, as `child.safetensors`.

    Source: arXiv 1707.07012, section 4 and appendix A; learning rate, decay and clipping of TF-slim's cifar_config.

    Raises:
        ValueError: if an option is wrong, there is no such dataset, or it has test images.
    """

    def __init__(
        self,
        data: str | os.PathLike[str] | Dataset,
        held_out: int = PAPER_HELD_OUT,
        batch: int = 64,
        learning_rate: float = 0.05,
        weight_decay: float = 5e-4,
        clip_norm: float = 5.0,
        augmentation: str = "pad_crop_flip",
        strategy: str = "default",
        dtype: str = "float32",
        seed: int = 0,
        data_dir: str | None = None,
        keep_weights: bool = False,
        image_size: int | None = None,
    ):
        check_augmentation(augmentation)
        self.devices = Devices(strategy)  # before anything computes: some strategies insist
        if not isinstance(data, Dataset):
            data = open_search_data(data, held_out, seed, data_dir, image_size)
        self.dataset = data
        check_search_data(self.dataset)
        batch = fitting_batch(batch, self.dataset.train.size)
        self.recipe = Recipe(
            "child",
            dataset=self.dataset.name,
            image_size=self.dataset.train.image_shape[:2],
            held_out=self.dataset.validation.size,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            augmentation=augmentation,
            dtype=dtype,
        )
        self.devices.check_batch(batch)
        self.seed = seed
        self.keep_weights = keep_weights

    @standard_settings()
    def evaluate(
        self, genotype: Genotype | str, fidelity: Fidelity, seed: int, folder: str | os.PathLike[str]
    ) -> Result:
        """Train a child and judge it; see `Evaluator.evaluate`.

        Raises:
            ValueError: if the fidelity asks for what is not there: more images, fewer than one epoch, a parent.
        """
        begun = time.monotonic()
        if fidelity.epochs < 1:
            raise ValueError("epochs is 0: a child that is trained needs 1 or more")
        recipe = replace(self.recipe, epochs=fidelity.epochs, seed=seed)
        dataset = self._dataset(fidelity.images)
        gc.collect()  # the graphs of the child before: they refer to themselves
        with self.devices.scope():
            child = make_child(
                genotype, fidelity, len(dataset.class_names), dataset.train.image_shape, seed, self.recipe.dtype
            )
            first_epoch = _warm_start(child, Path(folder), fidelity.epochs) if fidelity.warm_start else 0
            reward, error = None, None
            try:
                evaluation = train_child(child, recipe, dataset, self.devices, fidelity.accumulate, first_epoch)
                reward = evaluation.accuracy
            except Diverged as problem:
                error = Error("nan", str(problem))
            if self.keep_weights and error is None:
                Checkpoint(Path(folder) / CHILD_FILE).save(child.weights, {"epochs": fidelity.epochs})
        return Result(
            reward,
            params=sum(math.prod(weight.shape) for weight in child.trainable_weights),
            mult_adds=mult_adds(child),
            seconds=time.monotonic() - begun,
            device=hardware(),
            error=error,
            extra={} if error else {"loss": evaluation.loss},
        )

    def _dataset(self, images: int | None) -> Dataset:
        """Return the dataset with this many training images, the same for every child."""
        train = self.dataset.train
        if images is None or images == train.size:
            return self.dataset
        if images > train.size:
            raise ValueError(f"images is {images}, but {self.dataset.name} has {train.size} to train on")
        split: ArraySplit = into_memory(train, len(self.dataset.class_names))
        return replace(self.dataset, train=split.subset(held_out_indices(split.labels, images, self.seed)))


def _warm_start(child: NASNet, folder: Path, epochs: int) -> int:
    """Give a child its parent's weights; return the epochs that the parent was trained."""
    parent = Checkpoint(folder / PARENT_FILE)
    progress = parent.progress()
    if progress is None:
        raise ValueError(f"{parent.path}: no such file: a warm start needs the weights of the rung below")
    if not progress["epochs"] < epochs:
        raise ValueError(f"{parent.path} was trained for {progress['epochs']} epochs already, not fewer than {epochs}")
    parent.load(child.weights)
    return int(progress["epochs"])

"""Shared weights: one supernet trains all children, each a chunk of steps, and judges each by what it is then."""

import hashlib
import math
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.accelerate.backends import standard_settings
from keras_nasnet.accelerate.weightless import weightless
from keras_nasnet.common.hardware import hardware
from keras_nasnet.data.split import Batch, Dataset
from keras_nasnet.genotype import Genotype
from keras_nasnet.genotype import get as get_genotype
from keras_nasnet.models.complexity import mult_adds
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.evaluators.contract import Evaluator
from keras_nasnet.search.evaluators.data import PAPER_HELD_OUT, check_augmentation, check_search_data, open_search_data
from keras_nasnet.search.supernet.checkpoint import FILE, SupernetState, load_state, save_state
from keras_nasnet.search.supernet.parts import initial, size
from keras_nasnet.search.supernet.steps import Descent, make_steps
from keras_nasnet.search.supernet.supernet import Node, Supernet, slots
from keras_nasnet.search.trial import Error, Fidelity, Result
from keras_nasnet.training.objective import make_augmentation
from keras_nasnet.training.recipe import Recipe

SCHEDULES = ("cosine", "constant")
FIRST_PERIOD = 10  # epochs until the cosine schedule begins again; each period is twice as long as the one before
LOWEST = 0.02  # of the highest learning rate


class Shared(Evaluator):
    """A judge by shared weights: trains them a few steps along a child's path, and counts what the child gets right.

    A child is trained for `steps` steps, on the batches behind those that the child before it had,
    and judged at once, with batch statistics, on held-out batches chosen by the trial's seed. So its
    reward depends on the children before it: it ranks children and is no accuracy that training would
    give. In a plan, "search" uses it, and "final", with "scratch", trains the best anew.

    Weights, momenta and the last results are in `shared/supernet.safetensors` of the run's folder (a
    trial's folder is `<run>/trials/<id>`), written after each child: a search that was killed goes on
    with the very same rewards, and a trial that is in the file already is answered from it. One child
    at a time: `max_workers` is 1. A child whose loss is not finite leaves no trace in the weights.

    Of the fidelity `filters` and `num_blocks` count, and must be the same for all children of a run;
    `epochs` must be 0 or 1 and, like the others, has no effect. `params` and `mult_adds` are the child's own.

    The test images are out of reach: the dataset is opened without them.

    Args:
        data: "digits", a folder, an .npz file, or a set of tensorflow-datasets; or a `Dataset` without test split.
        held_out: training images of which children are judged.
        batch: examples of one step, and of one held-out batch.
        learning_rate: the highest of the schedule.
        schedule: "cosine", from the highest rate to its 50th part in 10 epochs, then in 20, and so on; or "constant".
        weight_decay: factor of the L2 penalty on kernels.
        clip_norm: gradients are scaled to at most this global norm; 0 for no clipping.
        steps: training steps for each child.
        eval_batches: held-out batches on which a child is judged; at most as many as there are whole ones.
        augmentation: a name in `training.AUGMENTATIONS`, of one that does not crop images as they are read.
        seed: of the choice of the held-out images, of the first weights and of the order of batches.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        image_size: side in pixels to which images are cropped and scaled; default: as they are, and 32 in folders.

    Source: Pham et al. 2018, "Efficient Neural Architecture Search via Parameter Sharing", sections 2.2 and
    3.2, and the authors' code (micro search space), which changes children after each step.

    Raises:
        ValueError: if an option is wrong, there is no such dataset, it has test images, or the backend is PyTorch.
    """

    max_workers = 1

    def __init__(
        self,
        data: str | os.PathLike[str] | Dataset,
        held_out: int = PAPER_HELD_OUT,
        batch: int = 64,
        learning_rate: float = 0.05,
        schedule: str = "cosine",
        weight_decay: float = 1e-4,
        clip_norm: float = 5.0,
        steps: int = 10,
        eval_batches: int = 4,
        augmentation: str = "pad_crop_flip",
        seed: int = 0,
        data_dir: str | None = None,
        image_size: int | None = None,
    ):
        check_augmentation(augmentation)
        if schedule not in SCHEDULES:
            raise ValueError(f"schedule is {schedule!r}: choose from {', '.join(SCHEDULES)}")
        for name, value in (("steps", steps), ("eval_batches", eval_batches)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is {value!r}: it must be a whole number from 1 up")
        if not isinstance(data, Dataset):
            data = open_search_data(data, held_out, seed, data_dir, image_size)
        self._dataset = data
        check_search_data(self._dataset)
        self._recipe = Recipe(  # checks its settings
            "shared",
            dataset=self._dataset.name,
            image_size=self._dataset.train.image_shape[:2],
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            augmentation=augmentation,
            seed=seed,
        )
        for split, count in (("training", self._dataset.train.size), ("held-out", self._dataset.validation.size)):
            if count < batch:
                raise ValueError(f"batch is {batch}, but there are {count} {split} images: set a smaller batch")
        self._schedule = schedule
        self._steps = steps
        self._eval_batches = min(eval_batches, self._dataset.validation.size // batch)
        self._compute = make_steps(Descent(weight_decay=weight_decay, clip_norm=clip_norm))
        self._supernets: dict[tuple[int, int], Supernet] = {}
        self._states: dict[Path, SupernetState] = {}

    @standard_settings()
    def evaluate(
        self, genotype: Genotype | str, fidelity: Fidelity, seed: int, folder: str | os.PathLike[str]
    ) -> Result:
        """Train shared weights along a child's path, and judge the child; see `Evaluator.evaluate`.

        Args:
            genotype: of a child whose cells have two inputs and one output.
            fidelity: gives N and F.
            seed: of augmentation and of the choice of held-out batches.
            folder: `<run>/trials/<id>`.

        Raises:
            ValueError: if the child is none of a supernet, the fidelity asks for epochs, or the
                run's shared weights are damaged or were begun with other settings.
        """
        begun = time.monotonic()
        if fidelity.epochs > 1:
            raise ValueError(f"epochs is {fidelity.epochs}: shared weights are trained by steps, set it to 0 or 1")
        genotype = get_genotype(genotype)
        path = self._supernet(fidelity).path(genotype)
        place = Path(folder).absolute()
        trial, file = place.name, place.parent.parent / "shared" / FILE
        state = self._states[file] = load_state(file, self._settings(fidelity), self._states.get(file))
        asked = {"child": genotype.digest, "seed": seed}
        if trial in state.trials:
            known = state.trials[trial]
            if {name: known[name] for name in asked} != asked:
                raise ValueError(f"{file} has another child as trial {trial}: it is of another search")
            return Result(**known["result"])
        params, operations = self._size(genotype, fidelity)
        weights, momenta, losses = self._train(path, state, seed)
        measured: dict[str, Any] = {"params": params, "mult_adds": operations, "device": hardware()}
        if not np.isfinite(losses).all():
            message = f"the loss is {losses[~np.isfinite(losses)][0]}"
            return Result(None, error=Error("nan", message), seconds=time.monotonic() - begun, **measured)
        right = self._compute.right(path, weights, self._held_out(seed))
        result = Result(
            right / (self._eval_batches * self._recipe.batch),
            extra={"loss": float(losses.mean())},
            seconds=time.monotonic() - begun,
            **measured,
        )
        record = {**asked, "result": {name: value for name, value in asdict(result).items() if name != "error"}}
        state = state.after(self._steps, weights, momenta, trial, record)
        save_state(file, state)
        self._states[file] = state
        return result

    def _supernet(self, fidelity: Fidelity) -> Supernet:
        key = (fidelity.num_blocks, fidelity.filters)
        if key not in self._supernets:
            self._supernets[key] = Supernet(*key, len(self._dataset.class_names))
        return self._supernets[key]

    def _settings(self, fidelity: Fidelity) -> dict[str, Any]:
        """Return what must stay the same as long as weights are shared, as JSON has it."""
        recipe = self._recipe
        return {
            "num_blocks": fidelity.num_blocks,
            "filters": fidelity.filters,
            "dataset": recipe.dataset,
            "images": self._dataset.train.size,
            "held_out": self._dataset.validation.size,
            "classes": len(self._dataset.class_names),
            "batch": recipe.batch,
            "learning_rate": recipe.learning_rate,
            "schedule": self._schedule,
            "weight_decay": recipe.weight_decay,
            "clip_norm": recipe.clip_norm,
            "steps": self._steps,
            "eval_batches": self._eval_batches,
            "augmentation": recipe.augmentation,
            "seed": recipe.seed,
        }

    def _size(self, genotype: Genotype, fidelity: Fidelity) -> tuple[int, int]:
        """Return trainable weights and mult-adds of the child itself."""
        with weightless():
            child = make_child(genotype, fidelity, len(self._dataset.class_names), self._dataset.train.image_shape)
        return sum(math.prod(weight.shape) for weight in child.trainable_weights), mult_adds(child)

    def _train(self, path: list[Node], state: SupernetState, seed: int) -> tuple[Any, Any, np.ndarray]:
        weights, momenta = {}, {}
        for slot, layout in slots(path).items():
            if slot in state.weights:
                weights[slot], momenta[slot] = state.weights[slot], state.momenta[slot]
                if weights[slot].shape != momenta[slot].shape or weights[slot].size != size(layout):
                    raise ValueError(f"the shared weights of {slot} have another size: delete {FILE} to begin anew")
            else:  # of the place alone: not of which children came before
                digest = hashlib.sha256(f"{self._recipe.seed} {slot}".encode()).digest()
                weights[slot] = initial(layout, np.random.default_rng(list(digest)))
                momenta[slot] = np.zeros_like(weights[slot])
        rates = [self._rate(state.step + number) for number in range(self._steps)]
        return self._compute.train(path, weights, momenta, self._batches(state.step, seed), rates)

    def _rate(self, step: int) -> float:
        """Return the learning rate of a step of the whole search."""
        highest = self._recipe.learning_rate
        if self._schedule == "constant":
            return highest
        epoch = step / (self._dataset.train.size // self._recipe.batch)
        period = float(FIRST_PERIOD)
        while epoch >= period:
            epoch, period = epoch - period, 2 * period
        return highest * (LOWEST + (1 - LOWEST) * 0.5 * (1 + math.cos(math.pi * epoch / period)))

    def _batches(self, step: int, seed: int) -> Iterator[Batch]:
        """Yield the batches of a chunk of steps: each image once an epoch, whatever children there are."""
        augmentation = make_augmentation(Recipe("shared", augmentation=self._recipe.augmentation, seed=seed), None)
        batch = self._recipe.batch
        left = self._steps
        while left:
            epoch, start = divmod(step, self._dataset.train.size // batch)
            for images, labels in self._dataset.train.train_batches(batch, epoch, self._recipe.seed, start):
                for layer in augmentation:
                    images = layer(images, training=True)
                yield images, labels
                step, left = step + 1, left - 1
                if not left:
                    return

    def _held_out(self, seed: int) -> Iterator[Batch]:
        """Yield the held-out batches of a trial: other ones for another seed, no image twice."""
        batches = self._dataset.validation.train_batches(self._recipe.batch, 0, seed)
        for _, batch in zip(range(self._eval_batches), batches, strict=False):
            yield batch

"""The training loop: from a recipe, a dataset and devices to checkpoints, a history and a trained network."""

import contextlib
import errno
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_nasnet.accelerate.backends import standard_settings
from keras_nasnet.common.errors import Diverged, WorkerLost
from keras_nasnet.common.signals import StopSignal
from keras_nasnet.data.split import Dataset, Split
from keras_nasnet.models.classifier import NASNet
from keras_nasnet.models.weights import for_inference, save_model
from keras_nasnet.training import metrics, report
from keras_nasnet.training.checkpoint import BEST_FILE, FILE, Checkpoint
from keras_nasnet.training.devices import Devices
from keras_nasnet.training.evaluation import Scores, averaged_weights, evaluate
from keras_nasnet.training.history import COLUMNS, History, Progress
from keras_nasnet.training.network import make_network, train_all, train_only_head
from keras_nasnet.training.objective import Objective, make_augmentation
from keras_nasnet.training.optimizer import make_optimizer
from keras_nasnet.training.recipe import RECIPE_FILE, Recipe
from keras_nasnet.training.steps.contract import Step, make_step

FETCH_STEPS = 32  # losses are looked at this often at least: waiting for each would stall a GPU


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training run.

    Args:
        folder: of the run.
        network: for inference: probabilities, with class names and preprocessing.
        validation: of the last epoch, or of the best where the recipe has patience; None
            where there are no validation images.
        test: of the test images, looked at once; None where there are none.
        epochs: that were trained.

    Example:
        >>> scores = Scores(0.4, accuracy=0.85, accuracy_5=1.0, examples=2, confusion=np.eye(2, dtype=int))
        >>> network = keras_nasnet.NASNet("nasnet_b", 1, 96, stem="cifar", classes=2)
        >>> result = TrainingResult("run", network, validation=scores, test=None, epochs=3)
        >>> result.validation.accuracy
        0.85
    """

    folder: Path
    network: NASNet
    validation: Scores | None
    test: Scores | None
    epochs: int


class Run:
    """One run, from its first or its last checkpoint to its end.

    Args:
        recipe: what to do.
        dataset: with what.
        folder: checkpoints, history and results go here.
        devices: where to compute.
        checkpoint_seconds: the longest time between two checkpoints.
        say: called with each line of text for the user, by the worker that writes the files.
    """

    def __init__(
        self,
        recipe: Recipe,
        dataset: Dataset,
        folder: Path,
        devices: Devices,
        checkpoint_seconds: float,
        say: Callable[[str], None],
    ):
        devices.check_batch(recipe.batch)
        self.recipe = recipe
        self.dataset = dataset
        self.folder = folder
        self.devices = devices
        self.checkpoint = Checkpoint(folder / FILE)
        self.checkpoint_seconds = checkpoint_seconds
        self.say = say if devices.is_chief else _silent
        self.steps = dataset.train.size // recipe.batch
        if self.steps == 0:
            raise ValueError(
                f"batch is {recipe.batch}, but there are {dataset.train.size} training images: set a smaller batch"
            )
        self.step = 0
        self.sums = [0.0] * 3  # of the present epoch: loss, right, examples
        self.seconds = 0.0  # that the present epoch took before it was interrupted
        self.rows: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self._pending: list[tuple[int, dict[str, Any]]] = []
        self._head_phase: bool | None = None  # whether `trainer` trains the classifier alone
        self.trainer: Step
        self._saved_step = -1
        self._saved_at = time.monotonic()

    @standard_settings()
    def run(self) -> TrainingResult:
        """Train to the end and return the outcome.

        Raises:
            Diverged: if the loss is not finite.
            Interrupted: after Ctrl-C or SIGTERM.
            WorkerLost: if another worker is gone.
            OSError: if a file cannot be written.
        """
        with StopSignal() as self._stop, self._full_disks(), self._lost_workers(), self.devices.scope():
            keras.utils.set_random_seed(self.recipe.seed)
            self.network = make_network(self.recipe, self.dataset.class_names)
            self.objective = Objective(
                self.network, self.recipe, make_augmentation(self.recipe, self.network), self._class_weights()
            )
            self._warn_of_slow_averages()
            state = self.checkpoint.progress()
            self.devices.check_same(
                -1 if state is None else state["step"],
                f"the workers do not see the same {self.checkpoint.path}: the run's folder must be shared by all",
            )
            if state is not None:
                self._restore(state)
            self._begin_phase(self.step // self.steps)
            if state is not None:
                self.checkpoint.load(self.trainer.state)
                self.trainer.changed()
                self.say(f"goes on after step {self.step} of {self.recipe.epochs * self.steps}")
            else:
                if self.devices.agree(self._stop.came is not None)[0]:
                    raise self._stop.interrupted("before the first step: nothing is written")
                if self.devices.is_chief:
                    self.recipe.save(self.folder / RECIPE_FILE)
                    self._save()  # so that a kill at any time after this finds a checkpoint
            with self._history() as history, self._progress() as progress:
                self._train(history, progress)
            return self._finish()

    # --- training

    def _train(self, history: History | None, progress: "Progress | _Nothing") -> None:
        while self.step < self.recipe.epochs * self.steps and not self._out_of_patience():
            epoch, start = divmod(self.step, self.steps)
            progress.begin_epoch()
            begun = time.monotonic()
            batches = self.dataset.train.train_batches(
                self.recipe.batch, epoch, self.recipe.seed, start, self.devices.shard
            )
            total = self.recipe.epochs * self.steps
            for images, labels in batches:
                sums = self.trainer.train(images, labels, self.step / total)
                self.step += 1
                self._pending.append((self.step, sums))
                due = len(self._pending) >= FETCH_STEPS or time.monotonic() - self._fetched_at > 1
                # All workers look, and stop, after the same step: else one would wait for the others in vain.
                due, stop = self.devices.agree(due, self._stop.came is not None)
                if due:
                    self._fetch(progress)
                if stop and self.step % self.steps:
                    self.seconds += time.monotonic() - begun
                    self._interrupt(progress)
                if time.monotonic() - self._saved_at > self.checkpoint_seconds and self.step % self.steps:
                    self._fetch(progress)
                    self.seconds += time.monotonic() - begun
                    begun = time.monotonic()
                    self._save()
            self._fetch(progress)
            self.seconds += time.monotonic() - begun
            self._end_epoch(epoch, history, progress)
            if self.devices.agree(self._stop.came is not None)[0]:
                self._interrupt(progress)

    def _begin_phase(self, epoch: int) -> None:
        """Make the step of the phase in which an epoch lies: the head alone, or the whole network."""
        head = epoch < self.recipe.head_epochs
        if self._head_phase == head:
            return
        if self._head_phase is not None:
            self.trainer.sync()
        self._head_phase = head
        if head:
            train_only_head(self.network)
        else:
            train_all(self.network, self.recipe.freeze_batch_norm)
        epochs = self.recipe.head_epochs if head else self.recipe.epochs - self.recipe.head_epochs
        self.optimizer = make_optimizer(self.recipe, self.steps, epochs)
        self.trainer = make_step(self.objective, self.optimizer, self.recipe, self.devices)
        self._fetched_at = time.monotonic()

    def _fetch(self, progress: "Progress | _Nothing") -> None:
        """Add the sums of the steps that were not waited for, and check that they are finite."""
        pending, self._pending = self._pending, []
        for step, sums in pending:
            loss, right, examples = (
                float(keras.ops.convert_to_numpy(sums[name])) for name in ("loss", "right", "examples")
            )
            if not math.isfinite(loss):
                raise Diverged(self._divergence(step, loss))
            self.sums = [self.sums[0] + loss, self.sums[1] + right, self.sums[2] + examples]
        if pending:
            progress.update(len(pending), self.sums[0] / self.sums[2], self.sums[1] / self.sums[2])
        self._fetched_at = time.monotonic()

    def _divergence(self, step: int, loss: float) -> str:
        epoch, batch = divmod(step - 1, self.steps)
        return (
            f"the loss is {loss} at step {step} (epoch {epoch + 1}, batch {batch + 1} of {self.steps}): "
            f"the last good checkpoint is {self.checkpoint.path}, of step {max(self._saved_step, 0)}; "
            "a lower learning_rate or a clip_norm may help"
        )

    def _end_epoch(self, epoch: int, history: History | None, progress: "Progress | _Nothing") -> None:
        loss, right, examples = self.sums
        self.trainer.sync()
        learning_rate = float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))
        validation = None
        if self.dataset.validation.size:
            with averaged_weights(self.trainer, self.optimizer):
                validation = self._evaluate(self.dataset.validation)
        row = {
            "epoch": epoch + 1,
            "step": self.step,
            "loss": loss / examples,
            "accuracy": right / examples,
            "validation_loss": validation.loss if validation else None,
            "validation_accuracy": validation.accuracy if validation else None,
            "learning_rate": learning_rate,
            "images_per_second": examples / self.seconds,
            "seconds": self.seconds,
        }
        self.sums, self.seconds = [0.0] * 3, 0.0
        self.rows.append(row)
        if validation and (self.best is None or validation.accuracy > self.best["accuracy"]):
            self.best = {"accuracy": validation.accuracy, "epoch": epoch + 1}
            if self.recipe.patience:
                self._save_best()
        if history is not None:
            history.append(row)
        if self.step < self.recipe.epochs * self.steps:
            self._begin_phase(epoch + 1)  # before it is saved: a checkpoint belongs to the phase that it begins
        self._save()
        progress.end_epoch(row)

    def _out_of_patience(self) -> bool:
        if not self.recipe.patience or self.best is None or self.step % self.steps:
            return False
        epoch = self.step // self.steps
        # The head's phase is not judged: the body has not been trained yet.
        since = max(self.best["epoch"], self.recipe.head_epochs)
        return epoch - since >= self.recipe.patience

    def _evaluate(self, split: Split) -> Scores:
        return evaluate(self.trainer, split, self.recipe.batch, len(self.dataset.class_names), self.devices)

    @contextlib.contextmanager
    def _lost_workers(self) -> Iterator[None]:
        """Raise WorkerLost for any error that means that another worker is gone."""
        try:
            yield
        except Exception as error:
            if not self.devices.is_lost_worker(error):
                raise
            raise WorkerLost(
                f"another worker does not answer after step {self.step} ({type(error).__name__}): start all workers "
                f"again with --resume{self._kept()}"
            ) from error

    @contextlib.contextmanager
    def _full_disks(self) -> Iterator[None]:
        """Add to errors of files where they happened, and what is kept."""
        try:
            yield
        except OSError as error:
            if error.filename is None:
                error.filename = str(self.folder)
            if self._saved_step >= 0 and error.errno is not None:
                reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
                error.strerror = f"{reason}: --resume goes on when that is mended{self._kept()}"
            raise

    def _kept(self) -> str:
        """Return where the last checkpoint is; nothing where there is none."""
        return f"; the last checkpoint is {self.checkpoint.path}" if self.checkpoint.path.exists() else ""

    # --- state

    def _save(self) -> None:
        if not self.devices.is_chief:
            self._saved_at = time.monotonic()
            return
        self.trainer.sync()
        self.checkpoint.save(
            self.trainer.state,
            {
                "step": self.step,
                "steps_per_epoch": self.steps,
                "sums": self.sums,
                "seconds": self.seconds,
                "best": self.best,
                "rows": self.rows,
            },
        )
        self._saved_step = self.step
        self._saved_at = time.monotonic()

    def _restore(self, state: dict[str, Any]) -> None:
        check_progress(state, self.recipe.epochs, str(self.checkpoint.path))
        if self.recipe.patience and state["best"] is not None:
            best = Checkpoint(self.folder / BEST_FILE)
            if best.progress() is None:  # now, and not at the end of the run
                raise ValueError(
                    f"{best.path} is missing, the weights of epoch {state['best']['epoch']}: put back a copy of it, or "
                    "begin anew in another folder"
                )
        if state["steps_per_epoch"] != self.steps:
            raise ValueError(
                f"{self.checkpoint.path} has {state['steps_per_epoch']} steps in an epoch, here are {self.steps}: "
                "the dataset is not the same any more"
            )
        self.step, self.sums, self.seconds = state["step"], state["sums"], state["seconds"]
        self.best, self.rows = state["best"], state["rows"]
        self._saved_step = self.step

    def _save_best(self) -> None:
        """Keep the weights that evaluation used; written before the checkpoint that knows of them."""
        if not self.devices.is_chief:
            return
        self.trainer.sync()
        with averaged_weights(self.trainer, self.optimizer):
            Checkpoint(self.folder / BEST_FILE).save(self.network.weights, self.best or {})

    def _interrupt(self, progress: "Progress | _Nothing") -> None:
        self._fetch(progress)
        self._save()
        raise self._stop.interrupted(
            f"after step {self.step} of {self.recipe.epochs * self.steps}, checkpoint "
            f"written: the same command with --resume goes on (folder {self.folder})"
        )

    def _history(self) -> Any:
        if not self.devices.is_chief:
            return contextlib.nullcontext()
        history = History(self.folder)
        history.restore(self.rows)
        return history

    def _progress(self) -> Any:
        if not self.devices.is_chief:
            return _Nothing()
        return Progress(self.recipe.epochs, self.steps, self.recipe.batch, self.step)

    # --- the end

    def _finish(self) -> TrainingResult:
        self.trainer.sync()
        best = Checkpoint(self.folder / BEST_FILE)
        if self.recipe.patience and self.best is not None:
            best.load(self.network.weights)
            self.trainer.changed()
            weights: Any = contextlib.nullcontext()
        else:
            weights = averaged_weights(self.trainer, self.optimizer)
        with weights:
            validation = self._evaluate(self.dataset.validation) if self.dataset.validation.size else None
            test = self._evaluate(self.dataset.test) if self.dataset.test is not None else None
            network = for_inference(self.network)
        if self.devices.is_chief:
            save_model(network, self.folder / "model.keras")
            report.plot_curves(self.folder / "history.csv", self.folder / "curves.png")
            shown = test or validation
            if shown is not None:
                names = self.dataset.class_names
                report.plot_confusion(shown.confusion, names, self.folder / "confusion.png")
                for line in report.class_report(shown.confusion, names).splitlines():
                    self.say(line)
            metrics.save(self.folder, self.recipe, self.dataset.name, {"validation": validation, "test": test})
        return TrainingResult(self.folder, network, validation, test, self.step // self.steps)

    # --- preparation

    def _class_weights(self) -> list[float] | None:
        return balanced_weights(self.dataset.train.class_counts()) if self.recipe.class_weights else None

    def _warn_of_slow_averages(self) -> None:
        total = self.recipe.epochs * self.steps
        momentum = self.network.get_config()["batch_norm_momentum"]
        if not self.recipe.freeze_batch_norm and momentum > 0.9 and momentum**total > 0.05:
            self.say(
                f"warning: BN with momentum {momentum} trains for only {total} steps, too few for its statistics: "
                "set batch_norm_momentum=0.9 or freeze_batch_norm=true"
            )
        if self.recipe.ema and self.recipe.ema**total > 0.05:
            self.say(f"warning: an EMA of {self.recipe.ema} over only {total} steps stays near the initial weights")


def check_progress(state: dict[str, Any], epochs: int, name: str) -> None:
    """Raise ValueError if what a checkpoint says of its run cannot be."""

    def is_count(value: Any, least: int = 0) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and value >= least

    def is_number(value: Any) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

    best, sums, rows = state.get("best"), state.get("sums"), state.get("rows")
    sound = {
        "steps_per_epoch": is_count(state.get("steps_per_epoch"), 1),
        "step": is_count(state.get("step")),
        "seconds": is_number(state.get("seconds")) and state["seconds"] >= 0,
        "sums": isinstance(sums, list) and len(sums) == 3 and all(map(is_number, sums)),
        "best": best is None
        or (isinstance(best, dict) and is_count(best.get("epoch"), 1) and is_number(best.get("accuracy"))),
        "rows": isinstance(rows, list) and all(isinstance(row, dict) and set(row) == set(COLUMNS) for row in rows),
    }
    if all(sound.values()):
        sound["step"] = state["step"] <= epochs * state["steps_per_epoch"]
    for key, is_sound in sound.items():
        if not is_sound:
            raise ValueError(
                f"{name}: not the checkpoint of such a run, its {key!r} is {str(state.get(key, 'missing'))[:100]}: "
                "put back a copy of it, or begin anew in another folder"
            )


def balanced_weights(counts: np.ndarray) -> list[float]:
    """Return a weight for each class, in inverse proportion to its examples; their mean over the examples is 1."""
    return [float(counts.sum() / (len(counts) * max(1, count))) for count in counts]


class _Nothing:
    """A `Progress` that shows nothing, for the workers that write no files."""

    def __enter__(self) -> "_Nothing":
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin_epoch(self) -> None: ...

    def update(self, *_: Any) -> None: ...

    def end_epoch(self, *_: Any) -> None: ...


def _silent(line: str) -> None: ...

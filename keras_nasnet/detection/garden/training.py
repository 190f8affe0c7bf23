"""Training a detector on a folder of annotated images, by the Garden's trainer."""

import contextlib
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import tf_keras
from official.common import distribute_utils
from official.core import task_factory, train_lib
from official.modeling import performance

from keras_nasnet.common.errors import Diverged, Interrupted
from keras_nasnet.detection import report
from keras_nasnet.detection.data.annotations import DetectionDataset, read_splits
from keras_nasnet.detection.data.records import Records, write_records
from keras_nasnet.detection.garden import run_folder
from keras_nasnet.detection.garden.backbone import NASNet
from keras_nasnet.detection.garden.evaluation import quiet
from keras_nasnet.detection.garden.pretrained import write_checkpoint
from keras_nasnet.detection.garden.recipe import small_data_experiment
from keras_nasnet.training.history import History, duration
from keras_nasnet.zoo import loading

MODELS = {"mobile": "nasnet_a_4_1056_imagenet", "large": "nasnet_a_6_4032_imagenet"}
_WEIGHTS = {"mobile": "nasnet_a_mobile_keras", "large": "nasnet_a_large_slim"}
SHOWN, PROBLEMS = 20, "problems.txt"  # of the annotations: so many are shown, all are in this file
_LOSSES = ("rpn_score_loss", "rpn_box_loss", "frcnn_cls_loss", "frcnn_box_loss")
_RESULTS = ("AP", "AP50", "AP75")
COLUMNS = ("epoch", "step", "loss", *_LOSSES, *_RESULTS, "learning_rate", "images_per_second", "seconds")


@dataclass(frozen=True)
class Result:
    """What a run came to.

    Args:
        folder: of the run.
        summary: of the official COCO evaluator on the validation images; see `report.summarise`.
    """

    folder: Path
    summary: dict[str, Any]


def train(
    data: str | os.PathLike[str],
    folder: str | os.PathLike[str] | None = None,
    *,
    validation: str | os.PathLike[str] | None = None,
    model: str | os.PathLike[str] = "nasnet_a_cifar10_64",
    from_nothing: bool = False,
    size: int = 256,
    epochs: int = 100,
    batch: int = 8,
    learning_rate: float = 0.02,
    settings: Sequence[str] = (),
    strict: bool = False,
    resume: bool = False,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True),
) -> Result:
    """Trains a Faster R-CNN on a NASNet.

    Args:
        data: folder of images with COCO JSON or Pascal VOC XML; see `annotations.read_splits`.
        folder: of the run; default: runs/detect-NAME, where NAME is that of the data.
        validation: annotated images to evaluate, likewise; default: what `data` names, or a fifth of it.
        model: "mobile", "large" (with their ImageNet weights), or anything that
            `keras_nasnet.load` takes.
        from_nothing: the backbone's architecture alone is taken from `model`, not its weights.
        size: height and width in pixels of what the network sees; a multiple of 64, or of 32 for
            data without large objects.
        epochs: passes over the training images.
        batch: images of one step.
        learning_rate: the highest of the schedule.
        settings: "NAME=VALUE", for example "task.model.rpn_head.num_convs=2", in the Garden's names.
        strict: whether any defect of the annotations is refused; else they are listed and dropped.
        resume: whether a run in the folder goes on from its checkpoint.
        seed: of everything random.
        say: is given a line for each thing worth knowing.

    Returns:
        The folder and the last evaluation. In the folder: params.yaml, class_names.json,
        checkpoints, history.csv, TensorBoard scalars, results.json and results.md; problems.txt
        where the annotations have more defects than are shown.

    Raises:
        ValueError: for bad data, an unknown model, an impossible size or setting, or a folder that
            holds a run where `resume` is not given, or another run where it is.
        Interrupted: after Ctrl-C or SIGTERM; the checkpoint is written.
        Diverged: if the loss is not finite.
    """
    path = Path(folder) if folder is not None else Path("runs") / f"detect-{Path(data).resolve().name}"
    _check(size, epochs, batch, learning_rate)
    if os.fspath(model) not in MODELS and not run_folder.is_detector(Path(model)):
        loading.check(model)
    checkpoint = run_folder.latest_checkpoint(path) if path.is_dir() else None
    if (path / run_folder.PARAMS).exists() and not resume:
        raise ValueError(f"{path} holds a run: --resume goes on with it, or choose another folder")
    train_set, validation_set = read_splits(data, strict=strict, validation=validation)
    _list_problems([str(problem) for problem in train_set.problems + validation_set.problems], path, say)
    say(_summary(train_set, validation_set))
    train_records = write_records(train_set, path / run_folder.RECORDS / "train")
    validation_records = write_records(validation_set, path / run_folder.RECORDS / "validation")
    init_checkpoint, config = _backbone(model, from_nothing, path)
    params = small_data_experiment(
        config,
        train_records,
        validation_records,
        _sides(train_set, size),
        size=size,
        batch=min(batch, train_records.num_images),
        epochs=epochs,
        learning_rate=learning_rate,
        init_checkpoint=init_checkpoint,
        seed=seed,
    )
    run_folder.override(params, settings)
    if (path / run_folder.PARAMS).exists():
        run_folder.check_same(params, path)
    run_folder.write_class_names(train_set.class_names, path)
    run_folder.write_params(params, path)
    if checkpoint is not None:
        say(f"goes on after step {int(checkpoint.rpartition('-')[2])} of {params.trainer.train_steps}")
    metrics = run(params, path, train_records, say)
    summary = report.summarise(metrics, train_set.class_names)
    report.write(summary, path)
    return Result(path, summary)


def run(params: Any, folder: Path, records: Records, say: Callable[[str], None]) -> dict[str, float]:
    """Runs an experiment, from its checkpoint if there is one, and returns the last evaluation."""
    tf_keras.utils.set_random_seed(params.task.train_data.seed or 0)
    keras.utils.set_random_seed(params.task.train_data.seed or 0)
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype)
    params.lock()
    strategy = distribute_utils.get_distribution_strategy(
        distribution_strategy=params.runtime.distribution_strategy, num_gpus=params.runtime.num_gpus
    )
    with quiet(folder / "garden.log"), _stop_signals() as stop, History(folder, COLUMNS) as history:
        with strategy.scope():
            task = task_factory.get_task(params.task, logging_dir=str(folder))
        watch = _Watch(params, records.num_images, history, stop, say)
        runner = train_lib.OrbitExperimentRunner(
            distribution_strategy=strategy,
            task=task,
            mode="train_and_eval",
            params=params,
            model_dir=str(folder),
            save_summary=False,
            train_actions=[watch.after_training],
            eval_actions=[watch.after_evaluation],
        )
        watch.runner = runner
        step = int(runner.trainer.global_step.numpy())
        if (latest := run_folder.latest_checkpoint(folder)) is not None:
            step = int(latest.rpartition("-")[2])
        history.truncate(step)
        watch.begin(step)
        if step < params.trainer.train_steps:
            runner.run()
        else:
            runner.controller.evaluate(steps=params.trainer.validation_steps)
        watch.flush()
    return watch.metrics


class _Watch:
    """Writes the history and a line now and then, and stops the run when it is told to."""

    def __init__(self, params: Any, images: int, history: History, stop: list[int], say: Callable[[str], None]):
        self.runner: Any = None
        self.params = params
        self.history = history
        self.stop = stop
        self.say = say
        self.metrics: dict[str, float] = {}
        self.batch = params.task.train_data.global_batch_size
        self.steps_per_epoch = max(1, images // self.batch)
        self.row: dict[str, Any] | None = None
        self.started: tuple[float, int] | None = None

    def begin(self, step: int) -> None:
        self.step = step
        self.last = self.said = time.monotonic()

    def after_training(self, output: Mapping[str, Any]) -> None:
        """Called when a loop of steps is over."""
        self.flush()
        step, now = int(self.runner.trainer.global_step.numpy()), time.monotonic()
        if self.started is None:
            self.started = (now, step)  # the first loop compiles
        loss = float(output["total_loss"])
        self.row = dict.fromkeys(COLUMNS) | {
            "epoch": math.ceil(step / self.steps_per_epoch),
            "step": step,
            "loss": loss,
            **{name: float(output[name]) for name in _LOSSES},
            "learning_rate": float(output["learning_rate"]),
            "images_per_second": (step - self.step) * self.batch / (now - self.last),
            "seconds": now - self.last,
        }
        self.step, self.last = step, now
        if not math.isfinite(loss):
            raise Diverged(f"the loss is {loss} at step {step}: start again with a lower learning rate")
        if now - self.said > 15 or step >= self.params.trainer.train_steps:
            self.said = now
            self.say(self._line(loss, now))
        if self.stop:
            self.runner.checkpoint_manager.save(checkpoint_number=step, check_interval=False)
            self.flush()
            name = signal.Signals(self.stop[0]).name
            raise Interrupted(f"stopped by {name} after step {step}: --resume goes on from there", self.stop[0])

    def after_evaluation(self, output: Mapping[str, Any]) -> None:
        """Called when the validation images have been evaluated."""
        self.metrics = {name: float(value) for name, value in output.items() if "AP" in name or "AR" in name}
        if self.row is not None:
            self.row |= {name: self.metrics[name] for name in _RESULTS}
        self.last = time.monotonic()
        self.say("validation  " + "  ".join(f"{name} {max(self.metrics[name], 0):.3f}" for name in _RESULTS))

    def flush(self) -> None:
        """Writes the row of the last loop, once an evaluation may have completed it."""
        if self.row is not None:
            self.history.append(self.row)
            self.row = None

    def _line(self, loss: float, now: float) -> str:
        steps = self.params.trainer.train_steps
        parts = [f"step {self.step}/{steps}  epoch {math.ceil(self.step / self.steps_per_epoch)}  loss {loss:.3f}"]
        if self.started is not None and self.step > self.started[1]:
            a_step = (now - self.started[0]) / (self.step - self.started[1])
            parts.append(f"{self.batch / a_step:.1f} images/s  {duration(a_step * (steps - self.step))} left")
        return "  ".join(parts)


@contextlib.contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """Yields a list that Ctrl-C and SIGTERM are added to; a second one ends the process."""
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    try:
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: its signals are not ours
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _check(size: int, epochs: int, batch: int, learning_rate: float) -> None:
    if size < 64 or size % 32:
        raise ValueError(f"size is {size}: it must be a multiple of 32, from 64 up")
    for name, value in {"epochs": epochs, "batch": batch}.items():
        if value < 1:
            raise ValueError(f"{name} is {value}: it must be from 1 up")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate is {learning_rate}: it must be above 0")


def _backbone(model: str | os.PathLike[str], from_nothing: bool, folder: Path) -> tuple[str | None, NASNet]:
    name = os.fspath(model)
    if name in MODELS and from_nothing:
        return None, NASNet(model_id=MODELS[name])
    checkpoint, config = write_checkpoint(_WEIGHTS.get(name, name), folder / "backbone")
    return (None if from_nothing else checkpoint), config


def _list_problems(problems: Sequence[str], folder: Path, say: Callable[[str], None]) -> None:
    for line in problems[:SHOWN]:
        say(line)
    if len(problems) > SHOWN:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PROBLEMS).write_text("".join(f"{line}\n" for line in problems), encoding="utf-8")
        say(f"and {len(problems) - SHOWN} more: {folder / PROBLEMS} has all")


def _sides(dataset: DetectionDataset, size: int) -> list[float]:
    """Square roots of the boxes' areas in pixels of the network's input."""
    return [
        math.sqrt(box.width * box.height) * size / max(image.width, image.height)
        for image in dataset.images
        for box in image.boxes
    ]


def _summary(train: DetectionDataset, validation: DetectionDataset) -> str:
    counts = [
        f"{len(part.images)} images, {sum(len(i.boxes) for i in part.images)} boxes" for part in (train, validation)
    ]
    names = ", ".join(train.class_names[:10]) + ", ..." * (len(train.class_names) > 10)
    return f"training: {counts[0]}; validation: {counts[1]}; classes: {names}"

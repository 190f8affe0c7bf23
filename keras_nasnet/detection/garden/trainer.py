"""Runs an experiment by the Garden's trainer: its history, its progress, and how it is stopped."""

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tf_keras
from official.common import distribute_utils
from official.core import task_factory, train_lib
from official.modeling import performance

from keras_nasnet.common.errors import Diverged
from keras_nasnet.common.signals import StopSignal
from keras_nasnet.detection.garden import checkpoints
from keras_nasnet.detection.garden.logs import printed_to
from keras_nasnet.training.history import History, duration

_LOSSES = ("rpn_score_loss", "rpn_box_loss", "frcnn_cls_loss", "frcnn_box_loss")
_RESULTS = ("AP", "AP50", "AP75")
COLUMNS = ("epoch", "step", "loss", *_LOSSES, *_RESULTS, "learning_rate", "images_per_second", "seconds")
_SECONDS_BETWEEN_LINES = 15


def run(params: Any, folder: Path, num_images: int, say: Callable[[str], None]) -> dict[str, float]:
    """Run an experiment, from its checkpoint if there is one, and return the metrics of the last evaluation.

    Args:
        params: the experiment.
        folder: of the run; gets checkpoints, history.csv, garden.log and TensorBoard's scalars.
        num_images: that are trained on.
        say: is given a line for each thing worth knowing.

    Raises:
        Interrupted: after Ctrl-C or SIGTERM; the checkpoint is written.
        Diverged: if the loss is not finite.
    """
    tf_keras.utils.set_random_seed(params.task.train_data.seed or 0)
    keras.utils.set_random_seed(params.task.train_data.seed or 0)
    performance.set_mixed_precision_policy(params.runtime.mixed_precision_dtype)
    params.lock()
    strategy = distribute_utils.get_distribution_strategy(
        distribution_strategy=params.runtime.distribution_strategy, num_gpus=params.runtime.num_gpus
    )
    with printed_to(folder / "garden.log"), StopSignal() as stop, History(folder, COLUMNS) as history:
        with strategy.scope():
            task = task_factory.get_task(params.task, logging_dir=str(folder))
        watch = Watch(params, num_images, history, stop, say)
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
        if (latest := checkpoints.latest(folder)) is not None:
            step = checkpoints.step_of(latest)
        history.truncate(step)
        watch.begin(step)
        if step < params.trainer.train_steps:
            runner.run()
        else:
            runner.controller.evaluate(steps=params.trainer.validation_steps)
        watch.flush()
    return watch.metrics


class Watch:
    """Watch a run between its loops of steps: write its history, say how far it is, and stop it on a signal.

    Args:
        params: the experiment.
        images: that are trained on.
        history: that gets a row for each loop.
        stop: whether a signal came.
        say: is given a line now and then.

    Attributes:
        runner: the Garden's, which calls this; set before it runs.
        metrics: of the last evaluation.
    """

    def __init__(self, params: Any, images: int, history: History, stop: StopSignal, say: Callable[[str], None]):
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
        """Note the losses of a loop of steps, which is over."""
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
        if now - self.said > _SECONDS_BETWEEN_LINES or step >= self.params.trainer.train_steps:
            self.said = now
            self.say(self._line(loss, now))
        if self.stop.came is not None:
            self.runner.checkpoint_manager.save(checkpoint_number=step, check_interval=False)
            self.flush()
            raise self.stop.interrupted(f"after step {step}: --resume goes on from there")

    def after_evaluation(self, output: Mapping[str, Any]) -> None:
        """Note the metrics of the validation images."""
        self.metrics = {name: float(value) for name, value in output.items() if "AP" in name or "AR" in name}
        if self.row is not None:
            self.row |= {name: self.metrics[name] for name in _RESULTS}
        self.last = time.monotonic()
        self.say("validation  " + "  ".join(f"{name} {max(self.metrics[name], 0):.3f}" for name in _RESULTS))

    def flush(self) -> None:
        """Write the row of the last loop, once an evaluation may have completed it."""
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

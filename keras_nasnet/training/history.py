"""The course of a run: `history.csv`, TensorBoard scalars, and progress on stderr. Imports no Keras."""

import csv
import io
import itertools
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from keras_nasnet.common.documents import read_text
from keras_nasnet.common.files import StrPath, replacing
from keras_nasnet.common.terminal import Stderr

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

Row = dict[str, int | float | None]

COLUMNS = (
    "epoch",
    "step",
    "loss",
    "accuracy",
    "validation_loss",
    "validation_accuracy",
    "learning_rate",
    "images_per_second",
    "seconds",
)
_INTEGERS = ("epoch", "step")
_VALIDATION = "validation_"


class History:
    """The rows of a run, one per epoch, in `history.csv` and as TensorBoard scalars in the run's folder.

    Both are complete when `append` returns, and a kill at any moment leaves the rows of
    before or after it, never half a row. What the folder already holds is read; to go on
    from a checkpoint, call `restore` or `truncate` first. One process at a time may write.

    TensorBoard shows each validation column over its training column: `validation_loss` is
    the scalar "loss" of the run `tensorboard/validation`, all others are in `tensorboard/train`.

    Args:
        folder: of the run; made if missing.
        columns: of the file, "epoch" and "step" among them; default: `COLUMNS`. epoch counts
            from 1; step is the number of optimizer steps since the beginning of the run,
            seconds the time of the epoch.

    Raises:
        ValueError: if the folder's `history.csv` is damaged or has other columns.
    """

    def __init__(self, folder: StrPath, columns: Sequence[str] = COLUMNS):
        missing = [name for name in _INTEGERS if name not in columns]
        if missing or len(set(columns)) != len(columns):
            raise ValueError(f"columns are {', '.join(columns)}: each once, epoch and step among them")
        self.folder = Path(folder)
        self.path = self.folder / "history.csv"
        self.columns = tuple(columns)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._rows = read_history(self.path) if self.path.exists() else []
        if self._rows and tuple(self._rows[0]) != self.columns:
            raise ValueError(f"{self.path} has columns {', '.join(self._rows[0])}, not {', '.join(self.columns)}")
        self._writers: dict[str, EventsWriter] = {}

    @property
    def rows(self) -> list[Row]:
        """All rows, copied: epoch and step are int, the others float, or None where there was no value."""
        return [dict(row) for row in self._rows]

    def append(self, row: Mapping[str, Any]) -> None:
        """Add the row of an epoch.

        Args:
            row: a number (NumPy's also) or None for every column.

        Raises:
            ValueError: if its columns are not the file's, or its step is not above the last row's.
            OSError: if it cannot be written; the row is then not in the history.
        """
        checked = self._checked(row)
        self._check_order([*self._rows[-1:], checked])
        # TensorBoard first: a row in the file is then always in TensorBoard too.
        self._write_scalars([checked])
        self._write_csv([*self._rows, checked])
        self._rows.append(checked)

    def restore(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Replace the whole history by `rows` from a checkpoint; `restore([])` begins a new one."""
        new = [self._checked(row) for row in rows]
        self._check_order(new)
        same = 0
        while same < min(len(new), len(self._rows)) and new[same] == self._rows[same]:
            same += 1
        self.close()
        self._open_writers(new[:same])
        self._write_scalars(new[same:])
        self._write_csv(new)
        self._rows = new

    def truncate(self, step: int) -> None:
        """Drop all rows later than `step`, that of the checkpoint from which the run goes on."""
        self.restore([row for row in self._rows if _step(row) <= step])

    def close(self) -> None:
        """Close the TensorBoard files; `append` opens new ones."""
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

    def __enter__(self) -> "History":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checked(self, row: Mapping[str, Any]) -> Row:
        if set(row) != set(self.columns):
            raise ValueError(f"a row has columns {', '.join(row)}: it must have {', '.join(self.columns)}")
        return {name: _number(name, row[name]) for name in self.columns}

    def _check_order(self, rows: Sequence[Row]) -> None:
        steps = [_step(row) for row in rows]
        for last, step in itertools.pairwise(steps):
            if step <= last:
                raise ValueError(f"a row of step {step} follows one of step {last}: call truncate or restore first")

    def _write_csv(self, rows: Sequence[Row]) -> None:
        with replacing(self.path, sync=True) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self.columns)
            # csv writes a float with all its digits, None as an empty cell
            writer.writerows([row[name] for name in self.columns] for row in rows)

    def _open_writers(self, kept: Sequence[Row]) -> None:
        """Open a new event file for each TensorBoard run, which hides all earlier scalars but those of `kept`."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        purge_step = _step(kept[-1]) + 1 if kept else 0
        writers = {}
        for run in sorted({_tensorboard_name(name)[0] for name in self.columns if name not in _INTEGERS}):
            folder = self.folder / "tensorboard" / run
            folder.mkdir(parents=True, exist_ok=True)
            # Names hold the second: the number keeps two files of one second apart, and in order.
            number = len(list(folder.iterdir()))
            writer = writers[run] = EventsWriter(str(folder / "events"), f".{number:05}")
            start = SessionLog(status=SessionLog.START)
            writer.write_event(Event(step=purge_step, wall_time=time.time(), session_log=start))
            writer.flush()
        self._writers = writers

    def _write_scalars(self, rows: Sequence[Row]) -> None:
        # tensorboardX's SummaryWriter writes in a thread, where nobody sees a full disk.
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        if not self._writers:
            self._open_writers(self._rows)
        for row in rows:
            for name, value in row.items():
                if name not in _INTEGERS and value is not None:
                    run, tag = _tensorboard_name(name)
                    event = Event(step=_step(row), wall_time=time.time(), summary=scalar(tag, value))
                    self._writers[run].write_event(event)
        for writer in self._writers.values():
            writer.flush()


def read_history(path: StrPath) -> list[Row]:
    """Return the rows of a `history.csv`: epoch and step int, the others float, None for an empty cell.

    Raises:
        ValueError: if the file is missing or damaged; names the line.
    """
    text = read_text(path)
    try:
        lines = list(csv.reader(io.StringIO(text, newline="")))
    except csv.Error:
        raise ValueError(f"{path} is not a history: not a CSV file") from None
    columns = lines[0] if lines else []
    if not set(_INTEGERS) <= set(columns):
        raise ValueError(f"{path} is not a history: its first line must name the columns, epoch and step among them")
    rows = []
    for number, cells in enumerate(lines[1:], 2):
        try:
            rows.append({name: _parse(name, cell) for name, cell in zip(columns, cells, strict=True)})
        except ValueError:
            raise ValueError(f"{path}, line {number}: not {len(columns)} numbers") from None
    return rows


def _parse(name: str, cell: str) -> int | float | None:
    if name in _INTEGERS:
        return int(cell)
    return float(cell) if cell else None


def _number(name: str, value: Any) -> int | float | None:
    if value is None and name not in _INTEGERS:
        return None
    try:
        return int(value) if name in _INTEGERS else float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} is {value!r}: it must be a number") from None


def _step(row: Row) -> int:
    step = row["step"]
    assert isinstance(step, int)
    return step


def _tensorboard_name(column: str) -> tuple[str, str]:
    """Return the run and the tag of a column."""
    if column.startswith(_VALIDATION):
        return "validation", column.removeprefix(_VALIDATION)
    return "train", column


class Progress:
    """Show on stderr how far a run is: a bar for each epoch, and a line when the epoch is over.

    The bar shows the epoch's loss and accuracy so far, images per second, and the time left of
    the whole run. Speed and time left leave out the first step of the process, which compiles.
    Where stderr is no terminal there is no bar, only the lines:

        epoch 3/20  loss 1.234  accuracy 0.567  validation 0.543  512 images/s  12 min left

    In each epoch call `begin_epoch`, then `update` after every step, then `end_epoch`.

    Args:
        epochs: of the whole run.
        steps: of one epoch.
        batch: images of one step (of all workers together).
        initial_step: the step of the checkpoint from which the run goes on; it may lie within
            an epoch. Default: 0, a new run.
        file: to write to; default: stderr.
    """

    def __init__(self, epochs: int, steps: int, batch: int, initial_step: int = 0, file: TextIO | None = None):
        if epochs < 1 or steps < 1 or batch < 1:
            raise ValueError(f"epochs, steps and batch are {epochs}, {steps}, {batch}: all must be from 1 up")
        if not 0 <= initial_step <= epochs * steps:
            raise ValueError(f"initial_step is {initial_step}: it must be between 0 and {epochs * steps}, the last")
        self.epochs = epochs
        self.steps = steps
        self.batch = batch
        self.step = initial_step
        self.file: Any = Stderr(file)
        self._terminal = self.file.isatty()
        self._bar: Any = None
        self._epoch = initial_step // steps + 1
        self._run_start: tuple[float, int] | None = None  # time and step after this process's first step
        self._epoch_start = self._last = (time.monotonic(), initial_step)

    @property
    def images_per_second(self) -> float:
        """The speed of the present epoch's steps in this process, without validation; 0 before there is a measure."""
        seconds = self._last[0] - self._epoch_start[0]
        return (self._last[1] - self._epoch_start[1]) * self.batch / seconds if seconds > 0 else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The time left of the whole run, with validation and checkpoints; None before there is a measure."""
        if self._run_start is None or self.step <= self._run_start[1]:
            return None
        seconds, first_step = time.monotonic() - self._run_start[0], self._run_start[1]
        return seconds / (self.step - first_step) * (self.epochs * self.steps - self.step)

    def begin_epoch(self) -> None:
        """Start the clock and the bar of the epoch in which the run's step lies."""
        self._epoch = min(self.step // self.steps + 1, self.epochs)
        self._epoch_start = self._last = (time.monotonic(), self.step)
        if self._terminal:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self.steps,
                initial=self.step - (self._epoch - 1) * self.steps,
                file=self.file,
                leave=False,  # the epoch's line takes its place
                dynamic_ncols=True,
                bar_format=f"epoch {self._epoch}/{self.epochs} "
                "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{desc}",
            )

    def update(self, steps: int = 1, loss: float | None = None, accuracy: float | None = None) -> None:
        """Count `steps` more steps as done, and show the epoch's mean loss and accuracy so far."""
        self.step += steps
        self._last = (time.monotonic(), self.step)
        if self._run_start is None:
            self._run_start = self._epoch_start = self._last
        if self._bar is not None:
            parts = _parts(loss, accuracy, None, self.images_per_second, self.seconds_left)
            self._bar.set_description_str("".join(f"  {part}" for part in parts), refresh=False)
            self._bar.update(steps)

    def end_epoch(self, row: Mapping[str, Any]) -> None:
        """Remove the bar and write the epoch's line, from its row of the history."""
        self.close()
        left = self.seconds_left if self.step < self.epochs * self.steps else None
        parts = _parts(
            row.get("loss"), row.get("accuracy"), row.get("validation_accuracy"), row.get("images_per_second"), left
        )
        self.file.write("  ".join([f"epoch {self._epoch}/{self.epochs}", *parts]) + "\n")
        self.file.flush()

    def close(self) -> None:
        """Remove the bar, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _parts(
    loss: float | None, accuracy: float | None, validation: float | None, speed: float | None, left: float | None
) -> list[str]:
    """Return the texts of the values that there are."""
    named = {"loss": loss, "accuracy": accuracy, "validation": validation}
    parts = [f"{name} {value:.3f}" for name, value in named.items() if value is not None]
    if speed:
        parts.append(f"{speed:.0f} images/s" if speed >= 10 else f"{speed:.1f} images/s")
    if left is not None:
        parts.append(f"{duration(left)} left")
    return parts


def duration(seconds: float) -> str:
    """Return a time in words: "45 s", "12 min", "3 h 20 min", "2 d 4 h"."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 24 * 60:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(minutes / 60)
    return f"{hours // 24} d {hours % 24} h"

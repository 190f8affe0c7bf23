"""A search as TensorBoard scalars, drawn from its store. Imports no Keras."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.search.store.store import Store

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

FOLDER = "tensorboard"  # in the folder of a run
WINDOW = 100  # trials of the mean


class Scalars:
    """A writer of `tensorboard/<arm>`: what the store has, each time that it is called, and nothing twice.

    By trial of stage "search", in the order in which they ended: "reward", "best" (so far) and
    "mean_of_100" (the last ones). By trials consumed: what the controller said, such as "entropy".
    At its first call a new object begins anew with all of it, so that an interrupted search has one curve.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: Path):
        self._folder = folder / FOLDER
        self._writers: dict[str, EventsWriter] = {}
        self._rewards: dict[str, list[float]] = {}
        self._updates: dict[str, int] = {}

    def __call__(self, store: Store) -> None:
        if not self._rewards:
            shutil.rmtree(self._folder, ignore_errors=True)
        for arm in (one["controller"] for one in store.config["arms"]):
            rewards = self._rewards.setdefault(arm, [])
            for row in store.query(
                "SELECT reward, finished_at FROM trials WHERE arm = ? AND stage = 'search' AND reward IS NOT NULL "
                "ORDER BY finished_at, id LIMIT -1 OFFSET ?",
                arm,
                len(rewards),
            ):
                rewards.append(row["reward"])
                last = rewards[-WINDOW:]
                numbers = {"reward": rewards[-1], "best": max(rewards), f"mean_of_{WINDOW}": sum(last) / len(last)}
                self._write(arm, len(rewards), row["finished_at"], numbers)
            updates = store.metrics(arm)
            for update in updates[self._updates.get(arm, 0) :]:
                numbers = {name: value for name, value in update.items() if name not in ("arm", "at", "trials")}
                self._write(arm, update["trials"], update["at"], numbers)
            self._updates[arm] = len(updates)
        for writer in self._writers.values():
            writer.flush()

    def _write(self, arm: str, step: int, at: float, numbers: dict[str, float]) -> None:
        # tensorboardX's SummaryWriter writes in a thread, where nobody sees a full disk.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        if arm not in self._writers:
            folder = self._folder / arm
            folder.mkdir(parents=True, exist_ok=True)
            self._writers[arm] = EventsWriter(str(folder / "events"))
        for name, value in numbers.items():
            self._writers[arm].write_event(Event(step=step, wall_time=at, summary=scalar(name, value)))

    def close(self) -> None:
        """Close the files."""
        for writer in self._writers.values():
            writer.close()

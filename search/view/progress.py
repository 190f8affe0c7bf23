"""How far a search is, on a terminal or in a log. Imports no Keras."""

import time
from typing import Any, TextIO

from tqdm import tqdm

from keras_nasnet.common.escape import printable
from keras_nasnet.common.terminal import Stderr
from keras_nasnet.search.store.store import Store
from keras_nasnet.search.view.status import LAST, status

BAR_SECONDS = 0.5  # between two looks at the store
LINE_SECONDS = 30.0  # between two lines, where there is no terminal


class Progress:
    """A bar on a terminal, and elsewhere a line now and then: "12/52  best 0.912 (ppo)  ...".

    Args:
        file: to write to; default: stderr.
    """

    def __init__(self, file: TextIO | None = None):
        self._file: Any = Stderr(file)
        self._terminal = self._file.isatty()
        self._bar: Any = None
        self._looked = -LINE_SECONDS
        self._line = ""

    def __call__(self, store: Store) -> None:
        """Look at the store, if the last look is long enough ago."""
        now = time.monotonic()
        if now - self._looked < (BAR_SECONDS if self._terminal else LINE_SECONDS):
            return
        self._looked = now
        self._show(status(store))

    def finish(self, store: Store) -> None:
        """Show how it stands at the end."""
        self._show(status(store))
        if self._bar is not None:
            self._bar.close()

    def _show(self, now: dict[str, Any]) -> None:
        done, planned = counts(now)
        if self._terminal:
            if self._bar is None:
                layout = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}"
                self._bar = tqdm(file=self._file, dynamic_ncols=True, bar_format=layout)
            self._bar.n, self._bar.total = done, max(done, planned)
            self._bar.set_postfix_str(printable(summary(now)))
            return
        line = f"{done}/{planned}  {summary(now)}"
        if line != self._line:
            self._file.write(f"{printable(line)}\n")
            self._file.flush()
        self._line = line


def counts(now: dict[str, Any]) -> tuple[int, int]:
    """Return of a `status` how many trials are over and how many are planned."""
    stages = now["stages"].values()
    return sum(stage["finished"] for stage in stages), sum(stage["planned"] for stage in stages)


def summary(now: dict[str, Any]) -> str:
    """Return a `status` in one line: best, mean of the last trials, rate, cost, time left."""
    parts = []
    if best := now["best"]:
        parts.append(f"best {best['reward']:.4f} ({best['arm']})")
    means = [f"{name} {arm['mean']:.4f}" for name, arm in now["arms"].items() if arm["mean"] is not None]
    if means:
        parts.append(f"mean of the last {LAST}: {', '.join(means)}")
    if now["per_minute"] is not None:
        parts.append(f"{now['per_minute']:.1f}/min")
    parts.append(f"{sum(stage['hours'] for stage in now['stages'].values()):.2f} {now['unit']}-hours")
    if now["seconds_left"]:
        parts.append(f"{duration(now['seconds_left'])} left")
    if faults := sum(now["faults"].values()):
        parts.append(f"{faults} fault{'' if faults == 1 else 's'}")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return a time for people, such as "40 s", "12 min" or "3.5 h"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

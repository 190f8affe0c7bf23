"""Workers on this machine: a process each, on cores or GPUs of its own."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.executors.contract import Job, Report, Task
from keras_nasnet.search.executors.placement import Place, places
from keras_nasnet.search.executors.pool import MAX_FALSE_STARTS, Pool, Worker
from keras_nasnet.search.executors.worker import from_dict


class LocalExecutor(Pool["_Process"]):
    """Worker processes of this machine; see `Executor`.

    A worker that dies, hangs, runs out of memory, or holds more than `Job.max_memory` after a
    task is replaced by a new one. All that workers print is in `logs/worker-<n>.log` of the
    run's folder. They end when this process does, also when it is killed.

    Args:
        job: what the workers do. Its `seconds` count from `submit`, the start of a new worker included.
        workers: how many; None: one a GPU, without GPUs one for each two CPU cores.
        environments: for each worker, variables that it gets beside those of this process;
            default: those that give it its own GPUs.

    Raises:
        ValueError: if there are not as many environments as workers.
    """

    def __init__(self, job: Job, workers: int | None = None, environments: Sequence[Mapping[str, str]] | None = None):
        chosen = places(len(environments) if workers is None and environments is not None else workers)
        if environments is not None:
            if len(environments) != len(chosen):
                raise ValueError(f"there are {len(environments)} environments for {len(chosen)} workers")
            chosen = [Place(one.cores, dict(more)) for one, more in zip(chosen, environments, strict=True)]
        super().__init__(job)
        self._false_starts = 0
        self._selector = selectors.DefaultSelector()
        for number, place in enumerate(chosen, start=1):
            self.workers.append(_Process(f"worker-{number}", job, place))
            self._begin(self.workers[-1])

    @property
    def slots(self) -> int:
        return len(self.workers)

    def listen(self, seconds: float) -> list[Report]:
        return [report for key, _ in self._selector.select(seconds) for report in self._hear(key.data)]

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self._selector.close()

    def _begin(self, worker: "_Process") -> None:
        self._selector.register(worker.begin(), selectors.EVENT_READ, worker)

    def discard(self, worker: "_Process") -> None:
        self._selector.unregister(worker.answers)
        worker.kill()
        self._begin(worker)

    def _hear(self, worker: "_Process") -> list[Report]:
        """Take what a worker says: that it is ready, a result, or, at the end of its channel, that it is dead."""
        messages, ended = worker.read()
        reports = []
        for message in messages:
            if "ready" in message:
                self._false_starts, worker.ready = 0, True
                continue
            reports.append(self.answered(worker, from_dict(message["result"]), message["memory"]))
            if reports[-1].notice is not None:  # it was replaced: what it said after that is of no interest
                return reports
        if not ended:
            return reports
        how = worker.kill(grace=5)
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts >= MAX_FALSE_STARTS:
                raise WorkerLost(f"{worker.name} cannot be started, it {how}: {worker.log} says why")
        if worker.task is not None:
            reports.append(self.lost(worker, "worker_lost", f"{worker.name} {how}"))
        else:
            self.discard(worker)
        return reports


class _Process(Worker):
    """A worker: its process, or the one that came after it."""

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, job: Job, place: Place):
        super().__init__(name)
        self.job = job
        self.place = place
        self.log = Path(job.folder) / "logs" / f"{name}.log"

    def begin(self) -> IO[bytes]:
        """Start the process; return what it will say."""
        self.stages.clear()
        self.ready = False
        self._heard = b""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # What this process can import the worker can, too: also an evaluator of the user's own.
        path = os.pathsep.join(os.path.abspath(folder) for folder in sys.path)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "keras_nasnet.search.executors.local_worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, "PYTHONPATH": path, **self.place.environment},
                start_new_session=True,  # Ctrl-C does not reach it
            )
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self._write({"job": asdict(self.job), "cores": self.place.cores})
        return self.process.stdout

    @property
    def answers(self) -> IO[bytes]:
        assert self.process.stdout is not None
        return self.process.stdout

    def send(self, task: Task) -> None:
        self._write({**vars(task), "fidelity": task.fidelity.to_dict()})

    def _write(self, data: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead: the end of its answers says so
            self.process.stdin.write(json.dumps(data).encode() + b"\n")
            self.process.stdin.flush()

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Return what it said since the last call, and whether it will say no more."""
        ended = False
        while True:
            try:
                data = os.read(self.answers.fileno(), 65536)
            except BlockingIOError:
                break
            if not data:
                ended = True
                break
            self._heard += data
        *lines, self._heard = self._heard.split(b"\n")
        return [json.loads(line) for line in lines], ended

    def kill(self, grace: float = 0.0) -> str:
        """End the process and all that it started; return how it ended, such as "was killed by SIGKILL".

        Args:
            grace: seconds that it has to end by itself, so that it is known how it did.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(grace)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"

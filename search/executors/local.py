"""Workers on this machine: a process each, on cores or GPUs of its own."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from keras_nasnet.common.errors import WorkerLost
from keras_nasnet.search.executors.contract import Job, Report, Task
from keras_nasnet.search.executors.placement import Place, places
from keras_nasnet.search.executors.worker import from_dict
from keras_nasnet.search.trial import Error, Result

MAX_FALSE_STARTS = 3  # worker processes in a row that end before they are ready


class LocalEngine:
    """Runs tasks in worker processes of this machine; see `Engine`.

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
        self.job = job
        self._false_starts = 0
        self._selector = selectors.DefaultSelector()
        self._workers: list[_Worker] = []
        for number, place in enumerate(chosen, start=1):
            self._workers.append(_Worker(f"worker-{number}", job, place))
            self._begin(self._workers[-1])

    @property
    def slots(self) -> int:
        return len(self._workers)

    def submit(self, task: Task) -> str:
        free = [worker for worker in self._workers if worker.task is None]
        # One that has the stage's evaluator already need not make it.
        worker = next((worker for worker in free if task.stage in worker.stages), free[0])
        worker.give(task)
        return worker.name

    def poll(self, seconds: float) -> list[Report]:
        until = time.monotonic() + seconds
        reports: list[Report] = []
        while not reports:
            now = time.monotonic()
            deadlines = [worker.began + self.job.seconds for worker in self._workers if worker.task is not None]
            pause = min([until, *deadlines]) - now
            for key, _ in self._selector.select(max(0.0, pause)):
                reports += self._hear(key.data)
            for worker in self._workers:
                if worker.task is not None and time.monotonic() - worker.began > self.job.seconds:
                    reports.append(self._lost(worker, "timeout", f"it took longer than {self.job.seconds:g} s"))
            if time.monotonic() >= until:
                break
        return reports

    def close(self) -> None:
        for worker in self._workers:
            worker.kill()
        self._selector.close()

    def _begin(self, worker: "_Worker") -> None:
        self._selector.register(worker.begin(), selectors.EVENT_READ, worker)

    def _replace(self, worker: "_Worker") -> None:
        self._selector.unregister(worker.answers)
        worker.kill()
        self._begin(worker)

    def _hear(self, worker: "_Worker") -> list[Report]:
        """Takes what a worker says: that it is ready, a result, or, at the end of its channel, that it is dead."""
        messages, ended = worker.read()
        reports = []
        for message in messages:
            if "ready" in message:
                self._false_starts, worker.ready = 0, True
                continue
            assert worker.task is not None
            result, notice = from_dict(message["result"]), None
            if result.error is not None and result.error.kind == "out_of_memory":
                notice = f"{worker.name} was replaced: it ran out of memory"
            elif message["memory"] > self.job.max_memory:
                notice = f"{worker.name} was replaced: it held {message['memory'] / 2**30:.2f} GiB of memory"
            reports.append(Report(worker.take_task(), worker.name, result, notice))
            if notice is not None:
                self._replace(worker)
                return reports
        if not ended:
            return reports
        how = worker.kill(grace=5)
        if not worker.ready:
            self._false_starts += 1
            if self._false_starts >= MAX_FALSE_STARTS:
                raise WorkerLost(f"{worker.name} cannot be started, it {how}: {worker.log} says why")
        if worker.task is not None:
            reports.append(self._lost(worker, "worker_lost", f"{worker.name} {how}"))
        else:
            self._replace(worker)
        return reports

    def _lost(self, worker: "_Worker", kind: str, message: str) -> Report:
        seconds = time.monotonic() - worker.began
        report = Report(worker.take_task(), worker.name, Result(None, seconds=seconds, error=Error(kind, message)))
        self._replace(worker)
        return report


class _Worker:
    """One worker: its process, or the one that came after it, and the task that it has."""

    process: subprocess.Popen[bytes]

    def __init__(self, name: str, job: Job, place: Place):
        self.name = name
        self.job = job
        self.place = place
        self.log = Path(job.folder) / "logs" / f"{name}.log"
        self.task: Task | None = None
        self.began = 0.0  # with its task; monotonic time

    def begin(self) -> IO[bytes]:
        """Starts the process; returns what it will say."""
        self.stages: set[str] = set()  # whose evaluators it has
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

    def give(self, task: Task) -> None:
        self.task, self.began = task, time.monotonic()
        self.stages.add(task.stage)
        self._write({**vars(task), "fidelity": task.fidelity.to_dict()})

    def take_task(self) -> Task:
        assert self.task is not None
        task, self.task = self.task, None
        return task

    def _write(self, data: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is dead: the end of its answers says so
            self.process.stdin.write(json.dumps(data).encode() + b"\n")
            self.process.stdin.flush()

    def read(self) -> tuple[list[dict[str, Any]], bool]:
        """Returns what it said since the last call, and whether it will say no more."""
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
        """Ends the process and all that it started; returns how it ended, such as "was killed by SIGKILL".

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

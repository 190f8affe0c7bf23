"""The worker of `RayExecutor`: an actor, in a process of its own on some node of the cluster."""

import contextlib
import os
import sys
import threading
from pathlib import Path

from keras_nasnet.search.evaluators.contract import Evaluator
from keras_nasnet.search.executors.contract import Job, Task
from keras_nasnet.search.executors.worker import resident_memory, run_task
from keras_nasnet.search.trial import Result


class RayWorker:
    """An evaluator of children on some node, where Ray makes it.

    Args:
        job: of the search.
        name: of its log.
        variables: of its environment.
        path: where the driver finds modules: those of the user, too, where the node has them at the same place.
    """

    def __init__(self, job: Job, name: str, variables: dict[str, str], path: list[str]):
        os.environ.update(variables)  # nothing has imported Keras yet
        sys.path += [folder for folder in path if folder not in sys.path]
        self.job = job
        self.evaluators: dict[str, Evaluator] = {}
        self.log = Path(job.folder) / "logs" / f"{name}.log"

    def begin(self) -> str:
        """Send all that is printed to the worker's log; return the node's address."""
        import ray

        with contextlib.suppress(OSError):  # a full disk: then it stays in Ray's logs
            self.log.parent.mkdir(parents=True, exist_ok=True)
            with self.log.open("ab") as log:
                for stream in (1, 2):
                    os.dup2(log.fileno(), stream)
        return str(ray.util.get_node_ip_address())

    def run(self, task: Task) -> tuple[Result, int]:
        """Return what `run_task` does, and the bytes of memory that the process then holds."""
        with contextlib.suppress(OSError):  # a full disk
            print(f"trial {task.trial}, attempt {task.attempt + 1}, {task.stage}: {task.fidelity}", flush=True)
        return run_task(self.job, self.evaluators, task), resident_memory()

    def live(self) -> None:
        """Never returns: the call fails when the worker dies, also while it has no task."""
        threading.Event().wait()

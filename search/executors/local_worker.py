"""A worker process of `LocalExecutor`: it reads tasks from stdin and answers on stdout, a JSON a line.

What evaluators print goes to stderr, the worker's log. The worker ends when its stdin does: when
the driver closes it, or is dead, however it died.
"""

import contextlib
import json
import os
import queue
import signal
import threading
from typing import IO, Any


def main() -> None:
    """Work until the driver is gone."""
    lines, answers = _take_channels()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the driver's business
    setup = json.loads(lines.readline())
    if setup["cores"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, setup["cores"])  # before NumPy and TensorFlow count them
    tasks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines, tasks), daemon=True).start()

    from keras_nasnet.search.evaluators.contract import Evaluator
    from keras_nasnet.search.executors.contract import Job, Task
    from keras_nasnet.search.executors.worker import resident_memory, run_task, to_dict
    from keras_nasnet.search.trial import Fidelity

    job = Job(**setup["job"])
    evaluators: dict[str, Evaluator] = {}
    _answer(answers, {"ready": True})
    while True:
        data = tasks.get()
        fidelity = Fidelity.from_dict(data["fidelity"])
        task = Task(**{**data, "tokens": tuple(data["tokens"]), "fidelity": fidelity})
        with contextlib.suppress(OSError):  # a full disk
            print(f"trial {task.trial}, attempt {task.attempt + 1}, {task.stage}: {fidelity}", flush=True)
        result = run_task(job, evaluators, task)
        _answer(answers, {"result": to_dict(result), "memory": resident_memory()})


def _take_channels() -> tuple[IO[str], IO[str]]:
    """Keep stdin and stdout for the driver, and give all others an empty stdin and the log."""
    lines, answers = os.fdopen(os.dup(0), "r", encoding="utf-8"), os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return lines, answers


def _listen(lines: IO[str], tasks: "queue.SimpleQueue[dict[str, Any]]") -> None:
    """Take tasks; at the end of the channel end this process and all that it started, whatever they do."""
    for line in lines:
        tasks.put(json.loads(line))
    os.killpg(0, signal.SIGKILL)  # the executor has given it a session, and so a group, of its own


def _answer(answers: IO[str], data: dict[str, Any]) -> None:
    answers.write(json.dumps(data) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()

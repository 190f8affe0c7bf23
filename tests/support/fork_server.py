"""A process that imports TensorFlow once and forks itself for each run: the import takes longer than a short run.

    with ForkServer() as server:
        process = server.start("program.py", "argument", log=path)

It is asked in lines of JSON: for a new process, answered by its id, or for a process' exit code, null while it runs.
"""

import atexit
import gc
import json
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from tests.support import environment

SECONDS = 400  # a process that takes longer hangs


class Process:
    """A forked process, with the methods of `subprocess.Popen` that tests need."""

    def __init__(self, server: "ForkServer", pid: int):
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask(poll=self.pid)
        return self.returncode

    def wait(self, timeout: float = SECONDS) -> int:
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise TimeoutError(f"process {self.pid} runs for more than {timeout} s")
            time.sleep(0.05)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class ForkServer:
    """Starts Python processes as `sys.executable` would, but TensorFlow and the package are imported already."""

    def __enter__(self) -> "ForkServer":
        command = [sys.executable, "-m", "tests.support.fork_server"]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(command, env=environment(KERAS_BACKEND="tensorflow"), text=True, **pipes)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()  # it ends with its input

    def start(self, *command: object, log: Path, **variables: str) -> Process:
        """Starts "-c", code or a file, and arguments, in the folder of the log that takes what it says."""
        return Process(self, self.ask(start=[str(word) for word in command], log=str(log), variables=variables))

    def ask(self, **request: Any) -> Any:
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def serve() -> list[str] | None:
    """Answers until its input ends; returns the command in each process that it forks."""
    for line in iter(sys.stdin.readline, ""):
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                for stream, file in ((0, os.open(os.devnull, os.O_RDONLY)), (1, log), (2, log)):
                    os.dup2(file, stream)
                os.chdir(Path(request["log"]).parent)
                os.environ.update(request["variables"])
                return request["start"]
        print(json.dumps(answer), flush=True)
    return None


def run(program: str, *arguments: str) -> None:
    if program == "-c":
        program, *rest = arguments
        sys.argv = ["-c", *rest]
        exec(program, {"__name__": "__main__"})
    else:
        sys.argv = [program, *arguments]
        runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    import keras_nasnet.cli.main
    import keras_nasnet.training.loop
    import keras_nasnet.training.steps.tensorflow  # noqa: F401

    gc.disable()  # it would look through all that was imported, in each process
    code = 0
    try:
        forked = serve()
        if forked is not None:
            run(*forked)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else bool(error.code)
    except BaseException:
        code = 1
        traceback.print_exc()
    finally:
        # All but taking all that was imported to pieces, which takes seconds.
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(code)

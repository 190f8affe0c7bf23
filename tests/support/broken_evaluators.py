"""Evaluators without Keras, for tests of what is around them: "tests.support.broken_evaluators:Name" in a plan."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from keras_nasnet.search.trial import Error, Result


def reward_of(genotype, seed=0):
    """A number from 0.1 to 0.9 that looks random and is not."""
    name = genotype if isinstance(genotype, str) else genotype.digest
    return 0.1 + 0.8 * int(hashlib.sha256(f"{name} {seed}".encode()).hexdigest()[:8], 16) / 2**32


class Hashed:
    """A reward out of the child and the seed; beyond that, what goes wrong with it.

    Args:
        seconds: that an evaluation takes.
        fault: what happens; see `_FAULTS`.
        only: a number of times that the fault happens to a trial; None: always.
        share: of the children that have the fault, chosen by their hash.
        gate: a file; an evaluation goes on when it is there.
        held: id of the first trial that waits for the gate.
    """

    max_workers = None

    def __init__(self, seconds=0.0, fault=None, only=None, share=1.0, gate=None, held=1):
        self.seconds, self.fault, self.only, self.share = seconds, fault, only, share
        self.gate, self.held = gate, held

    def evaluate(self, genotype, fidelity, seed, folder):
        with (Path(folder) / "attempts.txt").open("a") as file:
            file.write(f"{os.getpid()} {seed}\n")
        attempts = len((Path(folder) / "attempts.txt").read_text().splitlines())
        while self.gate and int(Path(folder).name) >= self.held and not os.path.exists(self.gate):
            time.sleep(0.01)
        time.sleep(self.seconds)
        hit = self.fault is not None and reward_of(genotype, "fault") < 0.1 + 0.8 * self.share
        if hit and (self.only is None or attempts <= self.only):
            result = _FAULTS[self.fault](fidelity)
            if result is not None:
                return result
        return Result(reward_of(genotype, seed), params=7, seconds=self.seconds, device="hash")


def _nan(fidelity):
    return Result(float("nan"))


def _diverged(fidelity):
    return Result(None, error=Error("nan", "the loss is nan at step 3"))


def _lost(fidelity):
    """As if the worker had died."""
    return Result(None, error=Error("worker_lost", "the worker is gone"))


def _late(fidelity):
    """As if it had taken too long."""
    return Result(None, error=Error("timeout", "it took too long"))


def _raises(fidelity):
    raise RuntimeError("this child\ncannot be built")


def _out_of_memory(fidelity):
    """More memory than there is, unless the batch is taken in parts."""
    if fidelity.accumulate == 1:
        _never_fits(fidelity)


def _never_fits(fidelity):
    bytearray(1 << 60)


def _hangs(fidelity):
    time.sleep(3600)


def _dies(fidelity):
    os.kill(os.getpid(), signal.SIGKILL)


def _exits(fidelity):
    os._exit(3)


def _fills_the_disk(fidelity):
    with open("/dev/full", "w") as file:
        file.write("x" * 100_000)


_FAULTS = {
    "nan": _nan,
    "diverged": _diverged,
    "lost": _lost,
    "late": _late,
    "raises": _raises,
    "out_of_memory": _out_of_memory,
    "never_fits": _never_fits,
    "hangs": _hangs,
    "dies": _dies,
    "exits": _exits,
    "fills_the_disk": _fills_the_disk,
}


class Quiet:
    """As Hashed, but writes nothing."""

    max_workers = None

    def evaluate(self, genotype, fidelity, seed, folder):
        return Result(reward_of(genotype, seed))


class Grows(Hashed):
    """Holds half a GiB after each child."""

    def evaluate(self, genotype, fidelity, seed, folder):
        self.kept = b"\1" * (512 << 20)
        return super().evaluate(genotype, fidelity, seed, folder)


class Learns(Hashed):
    """Its reward grows with the number of "none": something to learn. Keeps a file for the rung above."""

    def evaluate(self, genotype, fidelity, seed, folder):
        result = super().evaluate(genotype, fidelity, seed, folder)
        parent = Path(folder) / "parent.safetensors"
        if fidelity.warm_start and not parent.exists():
            raise ValueError("a warm start without a parent")
        (Path(folder) / "child.safetensors").write_text(f"{folder} after {fidelity.epochs}")
        share = str(genotype).count("none") / 6
        return Result(0.9 * share + 0.1 * result.reward, seconds=0.25, device="hash")


class Chatty(Hashed):
    """Prints to stdout, from itself and from a process that it starts."""

    def evaluate(self, genotype, fidelity, seed, folder):
        print("words on stdout")
        subprocess.run([sys.executable, "-c", "print('words of a child')"], check=True)
        subprocess.Popen(["sleep", "3600"])  # outlives it, unless the worker's whole group is ended
        return super().evaluate(genotype, fidelity, seed, folder)


class Alone(Hashed):
    """One at a time."""

    max_workers = 1

    def evaluate(self, genotype, fidelity, seed, folder):
        busy = Path(folder).parent / "busy"
        busy.mkdir()
        result = super().evaluate(genotype, fidelity, seed, folder)
        busy.rmdir()
        return result


class CannotBeMade:
    max_workers = None

    def __init__(self):
        raise ValueError("no such data")

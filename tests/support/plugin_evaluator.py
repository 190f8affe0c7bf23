"""An evaluator of one's own: "tests.support.plugin_evaluator:CountsOf" in a plan."""

from pathlib import Path

from keras_nasnet.search import Evaluator, Result


class CountsOf(Evaluator):
    """Rewards each edge that has an operation, and notes the child in its folder."""

    max_workers = 2

    def __init__(self, operation="none"):
        self.operation = operation

    def evaluate(self, genotype, fidelity, seed, folder):
        Path(folder, "child.txt").write_text(genotype)
        return Result(reward=genotype.count(self.operation) / 6, extra={"seed": seed})

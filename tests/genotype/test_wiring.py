"""The walk over a cell's wiring: what it asks for, and in which order."""

from keras_nasnet.genotype import NASNET_B, Block, CellSpec
from keras_nasnet.genotype.wiring import walk


class Recorder:
    """Names each state by how it came about, and writes down what it is asked for."""

    def __init__(self):
        self.asked = []

    def _note(self, name):
        self.asked.append(name)
        return name

    def fit_input(self, index, given):
        return self._note(f"fit {index} {given}")

    def missing_input(self, newest):
        return self._note(f"missing {newest}")

    def operation(self, block, side, name, index, state):
        return self._note(f"{block}.{side} {name} {index}")

    def combine(self, block, name, branches):
        assert branches == self.asked[-2:]
        return self._note(f"{block} {name}")

    def fit_output(self, index, state):
        return self._note(f"output {index} of {state}")

    def join(self, number, members):
        return number, members


def test_the_order_of_a_walk():
    blocks = (Block((1, 0), ("identity", "conv_1x1")), Block((2, 2), ("zero", "identity"), "concat"))
    recorder = Recorder()
    outputs = walk(CellSpec(blocks, outputs=((3, 1, 0), (1,))), ["h"], recorder)
    assert recorder.asked == [
        "fit 0 h",
        "missing h",
        "0.0 identity 1",
        "0.1 conv_1x1 0",
        "0 add",
        "1.0 zero 2",
        "1.1 identity 2",
        "1 concat",
        "output 0 of fit 0 h",
        "output 1 of missing h",
    ]
    assert outputs == [
        (0, [(3, "1 concat"), (1, "output 1 of missing h"), (0, "output 0 of fit 0 h")]),
        (1, [(1, "output 1 of missing h")]),
    ]


def test_outputs_that_contain_no_cell_input_fit_none():
    recorder = Recorder()
    outputs = walk(NASNET_B.normal, list("abcd"), recorder)
    assert len(outputs) == 4 and not [asked for asked in recorder.asked if asked.startswith(("output", "missing"))]

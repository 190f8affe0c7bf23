"""Cells: shapes, serialisation, and how often a hidden state is rectified."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import keras_nasnet.layers.cell
from keras_nasnet.genotype import NASNET_A, NASNET_B, NASNET_C, Block, CellSpec
from keras_nasnet.layers.cell import Cell
from tests.support.genotypes import cell_specs

GENOTYPES = {"a": NASNET_A, "b": NASNET_B, "c": NASNET_C}


def images(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def states(spec, channels=3, size=(8, 7), strides=None):
    """One hidden state for each input of a cell."""
    strides = strides or (1,) * spec.num_inputs
    return [
        images(2, *(length * stride for length in size), channels, seed=number) for number, stride in enumerate(strides)
    ]


def run(cell, inputs):
    """The cell's outputs as a list of arrays."""
    outputs = cell(inputs)
    return [ops.convert_to_numpy(tensor) for tensor in (outputs if isinstance(outputs, list | tuple) else [outputs])]


def shapes_of(cell, inputs):
    shapes = cell.compute_output_shape([tensor.shape for tensor in inputs])
    return [tuple(shape) for shape in (shapes if isinstance(shapes, list) else [shapes])]


@pytest.mark.parametrize("kind", ["normal", "reduction"])
@pytest.mark.parametrize("name", GENOTYPES)
def test_shapes(name, kind):
    spec = getattr(GENOTYPES[name], kind)
    stride = 2 if kind == "reduction" else 1
    widths = {("a", "normal"): [6], ("a", "reduction"): [4], ("c", "normal"): [5], ("c", "reduction"): [5]}
    for size in [(8, 7), (5, 6)]:
        cell = Cell(spec, 4, stride=stride)
        inputs = states(spec, size=size)
        outputs = run(cell, inputs)
        expected = [
            (2, -(-size[0] // stride), -(-size[1] // stride), 4 * width) for width in widths.get((name, kind), [1] * 4)
        ]
        assert [array.shape for array in outputs] == shapes_of(cell, inputs) == expected
        assert all(np.isfinite(array).all() and np.ptp(array) > 0 for array in outputs)


@given(cell_specs(), st.sampled_from([1, 2]), st.booleans())
@settings(max_examples=6)
def test_any_cell_runs_and_is_rebuilt(spec, stride, previous_is_larger):
    strides = (1,) + (2 if previous_is_larger else 1,) * (spec.num_inputs - 1)
    cell = Cell(spec, 4, stride=stride, input_strides=strides, drop_path_rate=0.1)
    inputs = states(spec, size=(5, 4), strides=strides)
    outputs = run(cell, inputs)
    assert [array.shape for array in outputs] == shapes_of(cell, inputs)
    assert all(np.isfinite(array).all() for array in outputs)
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(cell))
    assert again.get_config() == cell.get_config() and again.spec == spec
    again(inputs)
    again.set_weights(cell.get_weights())
    for first, second in zip(outputs, run(again, inputs), strict=True):
        np.testing.assert_array_equal(first, second)


@given(cell_specs())
@settings(max_examples=6)
def test_each_state_is_rectified_at_most_once(spec):
    cell = Cell(spec, 3)
    inputs = states(spec, size=(4, 4))
    cell(inputs)
    read = {("given", index) for index, fit in enumerate(cell.fits) if fit is not None}
    for block, pair in zip(spec.blocks, cell.branches, strict=True):
        read |= {index for index, operation in zip(block.inputs, pair, strict=True) if operation.reads_rectified}
    assert count_rectified(cell, inputs) == len(read)


@pytest.mark.parametrize(
    ("spec", "stride", "channels", "count"),
    [
        (NASNET_A.normal, 1, 3, 4),  # both given states, both fitted ones
        (NASNET_A.normal, 1, 4, 3),  # the previous state fits already
        (NASNET_A.reduction, 2, 3, 5),  # and hidden state 2, which a separable convolution reads
        (NASNET_C.normal, 1, 3, 4),
        # Identities and pools read states as they are: only the fit of h_i rectifies.
        (CellSpec((Block((0, 1), ("identity", "avg_pool_3x3")),), ((2,),)), 1, 4, 1),
        # Six readers of one state.
        (CellSpec((Block((0, 0), ("conv_1x1", "conv_3x3")),) * 3, ((1, 2, 3),), num_inputs=1), 1, 4, 2),
    ],
)
def test_number_of_rectified_states(spec, stride, channels, count):
    cell = Cell(spec, 4, stride=stride)
    inputs = states(spec, channels=channels)
    cell(inputs)
    assert count_rectified(cell, inputs) == count


def count_rectified(cell, inputs):
    calls = []

    def rectify(tensor):
        calls.append(tensor)
        return ops.relu(tensor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_nasnet.layers.cell, "rectify", rectify)
        cell(inputs)
    return len(calls)


def test_what_an_operation_reads():
    """A pool reads the hidden state, a convolution its ReLU."""
    spec = CellSpec((Block((1, 1), ("max_pool_3x3", "identity")),), ((2,),))
    previous = -1 - np.abs(images(1, 6, 6, 4))
    pooled = ops.max_pool(previous, 3, 1, padding="same")
    (outputs,) = run(Cell(spec, 4), [images(1, 6, 6, 4), previous])
    np.testing.assert_allclose(outputs, ops.convert_to_numpy(pooled) + previous, atol=1e-6)
    spec = CellSpec((Block((1, 1), ("conv_1x1", "conv_3x3")),), ((2,),))
    (outputs,) = run(Cell(spec, 4), [images(1, 6, 6, 4), previous])
    np.testing.assert_array_equal(outputs, np.zeros_like(outputs))


def test_larger_previous_state():
    """It is brought to the size of h_i by a factorized reduction, also where its sides are odd."""
    cell = Cell(NASNET_A.normal, 4, input_strides=(1, 2))
    for size in [(14, 12), (13, 11)]:
        inputs = [images(1, 7, 6, 5), images(1, *size, 3)]
        (outputs,) = run(cell, inputs)
        assert outputs.shape == (1, 7, 6, 24) == shapes_of(cell, inputs)[0]


def test_missing_inputs_are_the_first():
    inputs = images(2, 6, 6, 4)
    cell = Cell(NASNET_A.normal, 4)
    alone = run(cell, inputs)[0]
    np.testing.assert_array_equal(alone, run(cell, [inputs])[0])
    twice = Cell(NASNET_A.normal, 4)
    twice.build([inputs.shape] * 2)
    twice.set_weights(cell.get_weights())
    np.testing.assert_array_equal(alone, run(twice, [inputs, inputs])[0])


def test_drop_path_drops_only_while_training():
    cell = Cell(NASNET_A.normal, 4, drop_path_rate=0.5)
    inputs = states(NASNET_A.normal)
    outputs = run(cell, inputs)[0]
    np.testing.assert_array_equal(outputs, run(cell, inputs)[0])
    training = [ops.convert_to_numpy(cell(inputs, training=True)) for _ in range(2)]
    assert np.abs(training[0] - training[1]).max() > 0.1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Cell(NASNET_A.normal, 4, input_strides=(2, 1)), "input_strides"),
        (lambda: Cell(NASNET_A.normal, 4, input_strides=(1, 4)), "input_strides"),
        (lambda: Cell(NASNET_A.normal, 4, input_strides=(1,)), "each of the 2 inputs"),
        (lambda: Cell(NASNET_A.normal, 4, input_strides=(1, 1, 1)), "each of the 2 inputs"),
        (lambda: Cell(NASNET_A.normal, 4, stride=3), "stride is 3"),
        (lambda: Cell(NASNET_A.normal, 4, drop_path_rate=1.0)(images(1, 4, 4, 4)), "rate is 1.0"),
        (lambda: Cell(NASNET_A.normal, 4)([images(1, 4, 4, 4)] * 3), "2 inputs, 3 were given"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ValueError, match=message):
        make()

"""Supernet: a path computes what the child itself would compute."""

import keras
import numpy as np
import pytest

from keras_nasnet.genotype import Block, CellSpec, Genotype
from keras_nasnet.search.evaluators.child import make_child
from keras_nasnet.search.space.registry import get_space
from keras_nasnet.search.supernet.parts import initial, joined, size, unpacked
from keras_nasnet.search.supernet.steps import Descent, forward, make_steps
from keras_nasnet.search.supernet.supernet import Supernet, slots
from keras_nasnet.search.trial import Fidelity

QUICK = Fidelity(epochs=1, filters=4, num_blocks=1)
# NASNet's space without "concat", and with cells of two blocks: graphs are quickly traced.
SPACE = get_space({"name": "nasnet", "blocks": 2, "combines": ["add", "layer_norm_add", "instance_norm_add"]})
IMAGES = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3), dtype=np.uint8)
LABELS = np.arange(16, dtype=np.int32) % 10


@pytest.fixture(scope="module")
def supernet():
    return Supernet(QUICK.num_blocks, QUICK.filters, 10)


@pytest.fixture(scope="module")
def steps():
    return make_steps(Descent())


def with_descent(steps, **options):
    """Other steps with the compiled parts of these, which no descent changes."""
    others = make_steps(Descent(**options))
    others._graphs = steps._graphs
    return others


def start(path, seed=0):
    rng = np.random.default_rng(seed)
    # Scales and offsets too are random: equal ones would hide which is which.
    weights = {slot: initial(layout, rng) for slot, layout in slots(path).items()}
    return {slot: vector + rng.normal(0, 0.05, vector.shape).astype("float32") for slot, vector in weights.items()}


def logits_of(path, weights):
    """What the last node takes the loss of."""
    results = forward(path, lambda part, *given: (part.function(*given),), weights, IMAGES, LABELS)
    states = [keras.ops.convert_to_numpy(results[read][0]) for read in path[-1].reads]
    kernel, bias = joined([weights[slot] for slot in path[-1].slots], path[-1].part.layouts)
    features = np.maximum(np.concatenate(states, axis=-1), 0).mean(axis=(1, 2))
    return features @ keras.ops.convert_to_numpy(kernel) + keras.ops.convert_to_numpy(bias)


def copy_to_child(path, weights, child):
    """Gives a child a path's weights: nodes and the child's layers that have any stand in the same order."""
    values = []
    for node in (node for node in path if node.slots):
        vectors = [weights[slot] for slot in node.slots]
        joint = joined(vectors, node.part.layouts) if len(vectors) > 1 else unpacked(vectors[0], *node.part.layouts)
        values.append([keras.ops.convert_to_numpy(value) for value in joint])
    stem = [child.get_layer(name) for name in ("stem_convolution", "stem_batch_norm")]
    places = [[weight for layer in stem for weight in layer.trainable_weights]]
    for cell in (layer for layer in child.layers if hasattr(layer, "branches")):
        layers = list(cell.fits)
        for pair, combine in zip(cell.branches, cell.combines, strict=True):
            layers += [*pair, combine]
        layers += [cell.output_fits[key] for key in sorted(cell.output_fits)]
        places += [layer.trainable_weights for layer in layers if layer is not None and layer.trainable_weights]
    places.append(child.get_layer("predictions").trainable_weights)
    for variables, value in zip(places, values, strict=True):
        for variable, new in zip(variables, value, strict=True):
            variable.assign(new)


def reads_all(genotype):
    """Whether no fit of the child's is for nothing: a path leaves those out."""
    return all(
        {0, 1} <= {index for block in spec.blocks for index in block.inputs} | set(spec.outputs[0])
        for spec in (genotype.normal, genotype.reduction)
    )


def some_genotypes(count):
    rng = np.random.default_rng(5)
    found = []
    while len(found) < count:
        genotype = SPACE.genotype(SPACE.sample(rng))
        found += [genotype] if reads_all(genotype) else []
    # A cell input in the output, as NASNet-A has it: the reduction cell must shrink it.
    cell = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), ((0, 1, 2),))
    return [*found, Genotype(cell, cell)]


@pytest.mark.parametrize("genotype", some_genotypes(3)[1:])
def test_a_path_computes_what_the_child_computes(supernet, steps, genotype):
    path = supernet.path(genotype)
    weights = start(path)
    child = make_child(genotype, QUICK, 10, IMAGES.shape[1:])
    copy_to_child(path, weights, child)
    logits = keras.ops.convert_to_numpy(child(IMAGES / np.float32(127.5) - 1, training=True))
    np.testing.assert_allclose(logits_of(path, weights), logits, rtol=1e-4, atol=1e-4)
    # And so do the compiled parts.
    right = steps.right(path, weights, [(IMAGES, LABELS)])
    assert right == np.sum(logits.argmax(-1) == LABELS)


def test_a_path_has_no_node_that_nothing_needs(supernet):
    block = Block((0, 0), ("sep_conv_3x3", "max_pool_3x3"))
    cell = CellSpec((block,), ((2,),))
    path = supernet.path(Genotype(cell, cell))
    assert not any("fit_1" in slot for slot in slots(path))
    read = {read for node in path for read in node.reads}
    assert read == set(range(len(path) - 1))


def test_each_slot_belongs_to_one_node(supernet):
    for genotype in some_genotypes(3):
        names = [slot for node in supernet.path(genotype) for slot in node.slots]
        assert len(names) == len(set(names))


def test_children_share_the_weights_of_operations_that_they_have_in_common(supernet):
    def child(*operations):
        cell = CellSpec((Block((0, 1), operations),), ((2,),))
        return slots(supernet.path(Genotype(cell, cell)))

    one, other = child("sep_conv_3x3", "conv_1x1"), child("sep_conv_3x3", "conv_3x3")
    common = one.keys() & other.keys()
    assert any("sep_conv_3x3" in slot for slot in common)
    assert {slot for slot in one.keys() - common if "conv_1x1" not in slot} == set()
    assert all(one[slot] == other[slot] for slot in common)


def test_parts_are_made_once_for_all_places_of_one_size(supernet):
    genotype = some_genotypes(1)[0]
    before = supernet.path(genotype)
    assert [node.part for node in before] == [node.part for node in supernet.path(genotype)]
    assert len({node.part for node in before}) < len(before)


@pytest.fixture(scope="module")
def short(supernet):
    """A path of few nodes."""
    cell = CellSpec((Block((0, 1), ("conv_1x1", "identity")),), ((2,),))
    return supernet.path(Genotype(cell, cell))


def test_a_chunk_of_many_steps_comes_to_what_short_ones_come_to(short, steps):
    """Parts are put together in another way there."""
    weights = start(short)
    zeros = {slot: np.zeros_like(vector) for slot, vector in weights.items()}
    batch, rate = (IMAGES, LABELS), 1e-3
    long = steps.train(short, weights, zeros, [batch] * 10, [rate] * 10)
    half = steps.train(short, weights, zeros, [batch] * 5, [rate] * 5)
    rest = steps.train(short, half[0], half[1], [batch] * 5, [rate] * 5)
    np.testing.assert_allclose(long[2], np.concatenate([half[2], rest[2]]), rtol=1e-3)
    assert long[2][-1] < long[2][0]
    for slot in weights:
        np.testing.assert_allclose(long[0][slot], rest[0][slot], rtol=1e-3, atol=1e-4, err_msg=slot)


def test_steps_are_those_of_the_formula(short, steps):
    """Momentum, decay and clipping against the gradient that a step without any of them shows."""
    path, clip_norm = short, 0.5
    weights = start(path)
    momenta = {slot: np.full_like(vector, 0.1) for slot, vector in weights.items()}
    zeros = {slot: np.zeros_like(vector) for slot, vector in weights.items()}
    plain = with_descent(steps, momentum=0.0, weight_decay=0.0, clip_norm=0.0)
    after, _, losses = plain.train(path, weights, zeros, [(IMAGES, LABELS)], [1.0])
    decayed = {
        slot: weights[slot] - after[slot] + 0.01 * mask(layout) * weights[slot] for slot, layout in slots(path).items()
    }
    norm = np.sqrt(sum(np.sum(np.square(gradient)) for gradient in decayed.values()))
    factor = clip_norm / norm
    assert factor < 1 and np.isfinite(losses).all()
    clipped = with_descent(steps, momentum=0.9, weight_decay=0.01, clip_norm=clip_norm)
    new, moved, _ = clipped.train(path, weights, momenta, [(IMAGES, LABELS)], [0.1])
    for slot, gradient in decayed.items():
        momentum = 0.9 * momenta[slot] - 0.1 * factor * gradient
        np.testing.assert_allclose(moved[slot], momentum, rtol=1e-3, atol=2e-4, err_msg=slot)
        expected = weights[slot] + 0.9 * momentum - 0.1 * factor * gradient
        np.testing.assert_allclose(new[slot], expected, rtol=1e-3, atol=2e-4, err_msg=slot)


def mask(layout):
    pieces = [np.full(int(np.prod(shape)), float("kernel" in name)) for name, shape in layout]
    return np.concatenate(pieces) if pieces else np.zeros(0)


def test_kernels_begin_with_the_deviation_of_the_released_code():
    layout = (("kernel", (3, 3, 64, 32)), ("gamma", (32,)), ("beta", (32,)))
    vector = initial(layout, np.random.default_rng(0))
    kernel, gamma, beta = (keras.ops.convert_to_numpy(value) for value in unpacked(vector, layout))
    assert len(vector) == size(layout)
    assert abs(kernel.std() - np.sqrt(2 / (9 * 32))) < 1e-3
    assert set(gamma) == {1.0} and set(beta) == {0.0}


def test_cells_of_other_kinds_are_refused(supernet):
    two = CellSpec((Block((0, 1), ("identity", "identity")),), ((0,), (2,)))
    twice = CellSpec((Block((0, 1), ("identity", "identity")),), ((2, 2),))
    for cell, words in ((two, "one output"), (twice, "twice")):
        with pytest.raises(ValueError, match=words):
            supernet.path(Genotype(cell, cell))

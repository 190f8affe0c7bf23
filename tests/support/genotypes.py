"""Random cells and genotypes, as strategies of Hypothesis."""

from hypothesis import strategies as st

from keras_nasnet.genotype import COMBINES, OPERATIONS, Block, CellSpec, Genotype


@st.composite
def cell_specs(draw, num_inputs=None, num_outputs=None):
    """Valid cells with 1 to 4 inputs and 1 to 5 blocks."""
    if num_inputs is None:
        num_inputs = draw(st.integers(1, 4))
    if num_outputs is None:
        num_outputs = draw(st.integers(1, num_inputs))
    blocks = []
    for number in range(draw(st.integers(1, 5))):
        state = st.integers(0, num_inputs + number - 1)
        operation = st.sampled_from(OPERATIONS)
        blocks.append(
            Block(draw(st.tuples(state, state)), draw(st.tuples(operation, operation)), draw(st.sampled_from(COMBINES)))
        )
    state = st.integers(0, num_inputs + len(blocks) - 1)
    group = st.lists(state, min_size=1, unique=True)
    return CellSpec(tuple(blocks), tuple(draw(group) for _ in range(num_outputs)), num_inputs)


@st.composite
def genotypes(draw):
    """Valid genotypes with a name of any characters."""
    num_inputs = draw(st.integers(1, 4))
    num_outputs = draw(st.integers(1, num_inputs))
    cells = [draw(cell_specs(num_inputs, num_outputs)) for _ in range(2)]
    return Genotype(*cells, name=draw(st.text(max_size=10)), penultimate_ratio=draw(st.none() | st.integers(1, 40)))


@st.composite
def respellings(draw, spec):
    """The same cell: branches swapped, blocks in another order, concatenations in another order."""
    left = list(range(len(spec.blocks)))
    new_index = {index: index for index in range(spec.num_inputs)}
    blocks = []
    while left:
        ready = [number for number in left if all(index in new_index for index in spec.blocks[number].inputs)]
        number = draw(st.sampled_from(ready))
        left.remove(number)
        block = spec.blocks[number]
        step = draw(st.sampled_from([1, -1]))
        inputs = tuple(new_index[index] for index in block.inputs)[::step]
        blocks.append(Block(inputs, block.operations[::step], block.combine))
        new_index[spec.num_inputs + number] = spec.num_inputs + len(blocks) - 1
    outputs = tuple(tuple(draw(st.permutations([new_index[index] for index in group]))) for group in spec.outputs)
    return CellSpec(tuple(blocks), outputs, spec.num_inputs)

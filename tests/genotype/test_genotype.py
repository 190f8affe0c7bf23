"""Genotypes: text, equality, digests and the errors of invalid wirings."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keras_nasnet.genotype as genotype_module
from keras_nasnet.common import limits
from keras_nasnet.genotype import MORE_OPERATIONS, NASNET_A, NASNET_B, NASNET_C, OPERATIONS, Block, CellSpec, Genotype
from tests.support.genotypes import cell_specs, genotypes, respellings

DIGESTS = {
    "nasnet_a": "5f5ad16dbcb37688b68f4b02f198a1ad99f702bcbc06612eb531e98ea2e08adb",
    "nasnet_b": "86b69f89478758f4f63eb3942894050f1a2e3af496a9309e4ae9b21eb0ae72cc",
    "nasnet_c": "851942311ffb5399840ef56b9e68e263fe1def9317ed8d835398569b552ec3f6",
}
ADD = Block((0, 1), ("identity", "identity"))


def run_python(code, **environment):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


# === Text ===


@given(genotypes())
def test_json_round_trip_is_exact(genotype):
    again = Genotype.from_json(genotype.to_json())
    assert again.to_dict() == genotype.to_dict()
    assert again == genotype and hash(again) == hash(genotype)


@given(st.data())
def test_spelling_does_not_matter(data):
    spec = data.draw(cell_specs())
    again = data.draw(respellings(spec))
    assert again.digest == spec.digest
    assert again == spec and hash(again) == hash(spec)


@given(cell_specs(), st.data())
def test_another_operation_is_another_cell(spec, data):
    number = data.draw(st.integers(0, len(spec.blocks) - 1))
    block = spec.blocks[number]
    combine = "add" if block.combine != "add" else "concat"
    blocks = list(spec.blocks)
    blocks[number] = Block(block.inputs, block.operations, combine)
    assert CellSpec(tuple(blocks), spec.outputs, spec.num_inputs) != spec


def test_the_papers_operations_are_13_and_more_are_legal():
    assert len(OPERATIONS) == 13 and not set(OPERATIONS) & set(MORE_OPERATIONS)
    spec = CellSpec(tuple(Block((0, 1), (name, "identity")) for name in MORE_OPERATIONS), ((2, 3, 4),))
    assert CellSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    with pytest.raises(ValueError, match=r"unknown operation 'none': choose from identity, .*, dil_sep_conv_5x5"):
        CellSpec((Block((0, 1), ("none", "identity")),), ((2,),))


def test_shared_block_differs_from_copied_block():
    twin = Block((0, 1), ("sep_conv_3x3", "identity"))
    reader = Block((2, 0), ("identity", "identity"))
    other = Block((3, 0), ("identity", "identity"))
    outputs = ((2, 3, 4, 5),)
    shared = CellSpec((twin, twin, reader, reader), outputs)
    copied = CellSpec((twin, twin, reader, other), outputs)
    assert shared != copied
    assert copied == CellSpec((twin, twin, other, reader), outputs)


def test_equality_ignores_the_name_and_other_types():
    assert Genotype(NASNET_A.normal, NASNET_A.reduction, name="other") == NASNET_A
    assert Genotype(NASNET_A.reduction, NASNET_A.normal) != NASNET_A
    assert NASNET_A != "nasnet_a" and NASNET_A.normal != NASNET_A


@pytest.mark.parametrize("genotype", [NASNET_A, NASNET_B, NASNET_C], ids=lambda genotype: genotype.name)
def test_digest_is_pinned(genotype):
    assert genotype.digest == DIGESTS[genotype.name]


@pytest.mark.parametrize("seed", ["1", "2"])
def test_digest_is_stable_across_processes(seed):
    code = "import keras_nasnet as k; print(k.NASNET_A.digest, k.NASNET_B.digest, k.NASNET_C.digest)"
    assert run_python(code, PYTHONHASHSEED=seed).split() == list(DIGESTS.values())


def test_filters_from_penultimate_filters():
    assert [NASNET_A.filters(1056), NASNET_B.filters(1536), NASNET_C.filters(640)] == [44, 64, 32]
    with pytest.raises(ValueError, match="at least 24"):
        NASNET_A.filters(23)


# === Errors ===


@pytest.mark.parametrize(
    ("blocks", "outputs", "num_inputs", "message"),
    [
        ((Block((0, 5), ("identity", "identity")),), ((2,),), 2, "block 0 reads hidden state 5, which is not yet"),
        ((Block((0, 2), ("identity", "identity")),), ((2,),), 2, r"block 0 reads itself \(hidden state 2\): a cycle"),
        (
            (Block((0, 3), ("identity", "identity")), Block((2, 0), ("identity", "identity"))),
            ((3,),),
            2,
            "block 0 reads hidden state 3.*break the cycle",
        ),
        ((Block((0, -1), ("identity", "identity")),), ((2,),), 2, "block 0 reads hidden state -1"),
        ((Block((0, True), ("identity", "identity")),), ((2,),), 2, "block 0 reads hidden state True"),
        ((ADD, Block((0, 1), ("conv", "identity"))), ((2,),), 2, "block 1 has the unknown operation 'conv'"),
        ((Block((0, 1), ("identity", "identity"), "mul"),), ((2,),), 2, "block 0 has the unknown combine 'mul'"),
        ((ADD,), (), 2, "the cell has no output: nothing reads block 0"),
        ((ADD,), ((),), 2, "output 0 is empty"),
        ((ADD,), ((2,), (3,)), 2, "output 1 reads hidden state 3, which no block defines"),
        ((Block((0,), ("identity",)),), ((2,),), 2, "block 0 has 1 inputs and 1 operations"),
        ((Block((0, 1, 1), ("identity",) * 3),), ((2,),), 2, "block 0 has 3 inputs"),
        ((), ((0,),), 2, "the cell has no block"),
        ((ADD,), ((2,),), 0, "num_inputs is 0"),
        ((ADD,), ((2,),), 10**12, "num_inputs is 1000000000000"),
        (("add",), ((2,),), 2, "block 0 is 'add', not a Block"),
    ],
)
def test_invalid_wiring_is_named(blocks, outputs, num_inputs, message):
    with pytest.raises(ValueError, match=message):
        CellSpec(blocks, outputs, num_inputs)


def test_mismatched_cells_are_named():
    with pytest.raises(ValueError, match="normal cell has 2 inputs and the reduction cell 4"):
        Genotype(NASNET_A.normal, NASNET_B.reduction)
    with pytest.raises(ValueError, match="normal cell has 1 outputs and the reduction cell 2"):
        Genotype(CellSpec((ADD,), ((2,),)), CellSpec((ADD,), ((2,), (0,))))
    two = CellSpec((Block((0, 0), ("identity", "identity")),), ((1,), (0,)), num_inputs=1)
    with pytest.raises(ValueError, match="takes only 1 inputs"):
        Genotype(two, two)


def test_invalid_json_is_named():
    data = NASNET_A.to_dict()
    with pytest.raises(ValueError, match="version 2"):
        Genotype.from_dict(data | {"version": 2})
    with pytest.raises(ValueError, match="lacks reduction"):
        Genotype.from_dict({key: value for key, value in data.items() if key != "reduction"})
    with pytest.raises(ValueError, match="unknown colour"):
        Genotype.from_dict(data | {"colour": 1})
    with pytest.raises(ValueError, match="reduction cell: block 0 is 3"):
        Genotype.from_dict(data | {"reduction": data["reduction"] | {"blocks": [3]}})
    with pytest.raises(ValueError, match="penultimate_ratio is 0"):
        Genotype.from_dict(data | {"penultimate_ratio": 0})
    with pytest.raises(ValueError, match="name is 7"):
        Genotype.from_dict(data | {"name": 7})
    with pytest.raises(ValueError, match=r"genotype is 'nasnet_d': give a Genotype, a \.json file, or one of nasnet_a"):
        genotype_module.get("nasnet_d")


def test_a_genotype_is_read_from_its_file(tmp_path):
    path = tmp_path / "found.json"
    path.write_text(NASNET_A.to_json())
    assert genotype_module.get(path) == genotype_module.get(str(path)) == NASNET_A
    path.write_text("{")
    with pytest.raises(ValueError, match=r"found\.json: not JSON"):
        genotype_module.get(path)
    path.unlink()
    with pytest.raises(ValueError, match=r"found\.json: no such file"):
        genotype_module.get(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda cell: cell["blocks"].extend(cell["blocks"] * 20_000), "the cell has 100,005 blocks: at most 100"),
        (lambda cell: cell.update(outputs=[[2] * 1001]), "have 1,001 hidden states: at most 1000"),
        (lambda cell: cell.update(outputs=[[2]] * 1001), "at most 1000"),
        (lambda cell: cell.update(num_inputs=10**9), "num_inputs is 1000000000: a cell has at most 100"),
        (lambda cell: cell["blocks"][0].update(operations=[["identity"], {}]), r"unknown operation \['identity'\]"),
        (lambda cell: cell["blocks"][0].update(combine=["add"]), r"unknown combine \['add'\]"),
        (lambda cell: cell["blocks"][0].update(inputs=["x" * 10**6, 0]), "reads hidden state 'xxx"),
        (lambda cell: cell.update({"\x1b[2J": 1}), r"the unknown \\x1b\[2J"),
    ],
)
def test_a_cell_that_asks_for_too_much_is_refused_in_a_short_line(change, words):
    data = NASNET_A.to_dict()
    change(data["normal"])
    with pytest.raises(ValueError, match=words) as error:
        Genotype.from_dict(data)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_the_largest_genotype_has_its_digest_soon():
    """As many steps as the limits allow: a quadratic number, but of a hundred blocks."""
    cell = CellSpec([Block((i, i + 1), ("identity", "sep_conv_3x3")) for i in range(limits.CELL_BLOCKS)], ((101,),))
    assert len(cell.digest) == 64


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"version": ' + "1" * 400 + "}", "[]", "null", '{"version": 1, "normal": 1e999}']
)
def test_json_of_any_kind_is_refused_in_one_line(text):
    with pytest.raises(ValueError) as error:
        Genotype.from_json(text)
    assert "\n" not in str(error.value)


def test_a_genotype_that_is_a_pipe_is_refused(tmp_path):
    os.mkfifo(tmp_path / "found.json")
    with pytest.raises(ValueError, match="a pipe or a device"):
        genotype_module.get(tmp_path / "found.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=8,
)


@given(st.text() | JSON.map(json.dumps))
def test_garbage_is_a_value_error(text):
    with pytest.raises(ValueError):
        Genotype.from_json(text)


@given(st.data())
def test_spoilt_genotype_is_a_value_error_or_a_genotype(data):
    """One value anywhere in a valid genotype is replaced by any JSON."""
    document = NASNET_C.to_dict()
    node = document
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(node[key], dict | list) or data.draw(st.integers(0, 3)) == 0:
            break
        node = node[key]
    node[key] = data.draw(JSON)
    try:
        genotype = Genotype.from_json(json.dumps(document))
    except ValueError:
        return
    assert Genotype.from_json(genotype.to_json()) == genotype
    assert genotype.filters(genotype.penultimate_ratio) == 1


# === Imports ===


@pytest.mark.parametrize("module", ["keras_nasnet", "keras_nasnet.genotype", "keras_nasnet.genotype.diagram"])
def test_import_loads_no_framework(module):
    loaded = run_python(f"import {module}, sys; print(*sys.modules)").split()
    assert module in loaded
    assert not {"keras", "tensorflow", "jax", "torch", "numpy"} & set(loaded)

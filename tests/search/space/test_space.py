"""Search spaces: round trips, isomorphism, mutation, and the errors of what is not in them."""

import csv
import gzip
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.genotype import COMBINES, NASNET_A, NASNET_B, NASNET_C, OPERATIONS, Block, CellSpec, Genotype
from keras_nasnet.search.space.registry import SPACES, get_space

SMALL = {"name": "nasnet", "blocks": 2, "operations": ["identity", "conv_3x3"], "combines": ["add"]}
ALL = [*SPACES, SMALL, {"name": "nasnet", "blocks": 4, "combines": list(COMBINES)}]
spaces = st.sampled_from([get_space(space) for space in ALL])


@st.composite
def children(draw):
    """A space and tokens in it."""
    space = draw(spaces)
    return space, tuple(draw(st.integers(0, size - 1)) for size in space.sizes)


def swapped(space, tokens):
    """The same child with the two branches of every block exchanged."""
    step = 4 + ("combine" in space.kinds)
    blocks = [tokens[start : start + step] for start in range(0, len(tokens), step)]
    return tuple(value for block in blocks for value in (block[1], block[0], block[3], block[2], *block[4:]))


def operations_of(genotype):
    return [
        name for cell in (genotype.normal, genotype.reduction) for block in cell.blocks for name in block.operations
    ]


# === What is in a space ===


def test_nasnet_has_five_tokens_a_block_in_the_papers_order():
    space = get_space("nasnet")
    assert space.length == 50
    assert space.kinds == ("input", "input", "operation", "operation", "combine") * 10
    assert space.sizes[:10] == (2, 2, 13, 13, 2, 3, 3, 13, 13, 2) and space.sizes[:25] == space.sizes[25:]
    assert space.size == (math.prod((2 + block) ** 2 * 13**2 * 2 for block in range(5))) ** 2
    tokens = (0, 1, 10, 0, 1) + (2, 1, 0, 12, 0) + (0,) * 40
    normal = space.genotype(tokens).normal
    assert normal.blocks[0] == Block((0, 1), (OPERATIONS[10], OPERATIONS[0]), "concat")
    assert normal.blocks[1] == Block((2, 1), (OPERATIONS[0], OPERATIONS[12]), "add")
    assert normal.outputs == ((3, 4, 5, 6),)  # of hidden state 2, block 1 makes use


def test_darts_like_adds_and_concatenates_everything():
    space = get_space("darts_like")
    assert space.kinds == ("input", "input", "operation", "operation") * 8
    assert space.sizes[:8] == (2, 2, 8, 8, 3, 3, 8, 8)
    normal = space.genotype((0, 0, 0, 0) + (2, 2, 7, 6) * 3 + (0,) * 16).normal
    assert {block.combine for block in normal.blocks} == {"add"} and normal.outputs == ((2, 3, 4, 5),)
    assert normal.blocks[0].operations == ("zero", "zero")
    assert normal.blocks[1].operations == ("dil_sep_conv_5x5", "dil_sep_conv_3x3")


def test_nasnet_c_is_in_the_space_with_all_combines_and_b_and_a_are_in_none():
    space = get_space({"name": "nasnet", "blocks": 4, "combines": COMBINES})
    assert space.genotype(space.tokens(NASNET_C)) == NASNET_C
    with pytest.raises(ValueError, match="not in nasnet: normal cell: it has 4 inputs"):
        space.tokens(NASNET_B)
    message = "normal cell: its outputs concatenate hidden states 1, 2, 3, 4, 5, 6; .* that is 2, 3, 4, 5, 6"
    with pytest.raises(ValueError, match=message):
        get_space("nasnet").tokens(NASNET_A)


def test_nasbench201_writes_architecture_strings():
    space = get_space("nasbench201")
    assert (space.length, space.size, space.kinds) == (6, 15_625, ("edge",) * 6)
    assert (
        space.genotype((3, 3, 3, 1, 3, 3))
        == "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
    )


@given(children())
def test_tokens_and_genotype_are_inverse(child):
    space, tokens = child
    assert space.tokens(space.genotype(tokens)) == tokens


@given(children())
def test_a_genotype_from_json_has_the_same_tokens(child):
    space, tokens = child
    genotype = space.genotype(tokens)
    if isinstance(genotype, Genotype):
        assert space.tokens(Genotype.from_json(genotype.to_json())) == tokens


@given(spaces)
def test_plain_data_makes_the_same_space(space):
    again = get_space(space.to_dict())
    assert again == space and again.sizes == space.sizes and again.to_dict() == space.to_dict()


@given(spaces)
def test_the_mask_is_true_for_legal_values_alone(space):
    assert space.mask.dtype == bool and space.mask.shape == (space.length, max(space.sizes))
    assert space.mask.sum(axis=1).tolist() == list(space.sizes)
    assert all(row[:size].all() for row, size in zip(space.mask, space.sizes, strict=True))


# === Isomorphic children ===


@given(children())
def test_swapped_branches_have_the_same_key(child):
    space, tokens = child
    if space.name != "nasbench201":
        assert space.key(swapped(space, tokens)) == space.key(tokens)


@given(children(), st.data())
def test_another_operation_has_another_key(child, data):
    space, tokens = child
    if space.name != "nasbench201":  # there a zero further on can hide it
        token = data.draw(st.sampled_from([t for t, kind in enumerate(space.kinds) if kind == "operation"]))
        changed = list(tokens)
        changed[token] = (changed[token] + 1) % space.sizes[token]
        counts = [sorted(operations_of(space.genotype(each))) for each in (tokens, changed)]
        assert counts[0] != counts[1] and space.key(changed) != space.key(tokens)


def test_nasbench201_keys_take_skips_away():
    space = get_space("nasbench201")
    convolution = space.key((0, 0, 0, 3, 0, 0))
    assert space.key((3, 0, 0, 0, 1, 0)) == convolution  # 0 to 1 by the convolution, 1 to 3 by a skip
    assert space.key((1, 0, 0, 0, 3, 0)) == convolution
    assert space.key((0, 0, 0, 4, 0, 0)) != convolution


@pytest.mark.skipif("KERAS_NASNET_TEST_DATA" not in os.environ, reason="needs the table of KERAS_NASNET_TEST_DATA")
def test_nasbench201_keys_are_the_classes_of_the_table():
    space = get_space("nasbench201")
    path = Path(os.environ["KERAS_NASNET_TEST_DATA"]) / "nasbench201" / "nasbench201_accuracies.csv.gz"
    with gzip.open(path, "rt", newline="") as file:
        pairs = {(row["unique_id"], space.key(space.tokens(row["arch"]))) for row in csv.DictReader(file)}
    assert len(pairs) == len({theirs for theirs, _ in pairs}) == len({ours for _, ours in pairs}) == 6_466


# === Sampling and mutation ===


@given(children(), st.integers(0, 2**32))
def test_a_mutation_differs_in_one_token_and_is_legal(child, seed):
    space, tokens = child
    mutated = space.mutate(tokens, np.random.default_rng(seed))
    assert space.check(mutated) == mutated
    assert sum(old != new for old, new in zip(tokens, mutated, strict=True)) == 1


def test_mutation_reaches_every_neighbour_equally_often_for_each_token():
    space, rng = get_space(SMALL), np.random.default_rng(0)
    tokens = space.sample(rng)
    reached = [space.mutate(tokens, rng) for _ in range(4_000)]
    assert len(set(reached)) == sum(size - 1 for size in space.sizes)
    changed = np.mean(np.array(reached) != tokens, axis=0)
    np.testing.assert_allclose(changed, 1 / space.length, atol=0.02)


def test_a_token_with_one_value_is_never_mutated():
    space = get_space(SMALL | {"operations": ["identity"]})
    rng = np.random.default_rng(0)
    assert len({space.mutate((0,) * space.length, rng) for _ in range(500)}) == sum(size - 1 for size in space.sizes)


@given(spaces, st.integers(0, 2**32))
def test_samples_are_legal_plain_and_repeatable(space, seed):
    rng = np.random.default_rng(seed)
    tokens = space.sample(rng)
    assert space.check(tokens) == tokens and {type(value) for value in tokens} == {int}
    assert space.sample(np.random.default_rng(seed)) == tokens


def test_samples_are_uniform():
    space, rng = get_space("nasbench201"), np.random.default_rng(0)
    drawn = np.array([space.sample(rng) for _ in range(5_000)])
    for value in range(5):
        np.testing.assert_allclose(np.mean(drawn == value, axis=0), 0.2, atol=0.03)


# === Errors ===


@given(children(), st.data())
def test_what_is_out_of_range_is_named(child, data):
    space, tokens = child
    position = data.draw(st.integers(0, space.length - 1))
    wrong = data.draw(st.sampled_from([space.sizes[position], -1, 0.0, True, "0", None]))
    spoilt = (*tokens[:position], wrong, *tokens[position + 1 :])
    with pytest.raises(ValueError, match=f"^token {position} is .* from 0 to {space.sizes[position] - 1} "):
        space.genotype(spoilt)
    with pytest.raises(ValueError, match=f"a child of {space.name} has {space.length}"):
        space.genotype(tokens[1:])


SPEC = get_space(SMALL).genotype((0,) * 16).normal


@pytest.mark.parametrize(
    ("normal", "message"),
    [
        (CellSpec(SPEC.blocks[:1], ((2,),)), "normal cell: it has 1 blocks, not 2"),
        (CellSpec(SPEC.blocks, SPEC.outputs, fit_inputs=False), "fit_inputs False"),
        (CellSpec((Block((0, 0), ("conv_1x1", "identity")),) * 2, ((2, 3),)), "block 0 has the operation conv_1x1"),
        (
            CellSpec((*SPEC.blocks[:1], Block((0, 0), ("identity",) * 2, "concat")), ((2, 3),)),
            "block 1 has the combine",
        ),
        (CellSpec(SPEC.blocks, ((3,),)), "concatenate hidden states 3; by the rule of this space that is 2, 3"),
    ],
)
def test_a_genotype_that_is_not_in_the_space_is_told_why(normal, message):
    with pytest.raises(ValueError, match=message):
        get_space(SMALL).tokens(Genotype(normal, SPEC))


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("|nor_conv_7x7~0|+|none~0|none~1|+|none~0|none~1|none~2|", "'nor_conv_7x7' is none of none, skip_connect"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|", "an architecture looks like"),
        ("|none~0|+|none~0|none~0|+|none~0|none~1|none~2|", "an architecture looks like"),
        ("", "an architecture looks like"),
        (NASNET_A, "not in nasbench201"),
    ],
)
def test_what_is_no_architecture_of_nasbench201_is_told_why(architecture, message):
    with pytest.raises(ValueError, match=message):
        get_space("nasbench201").tokens(architecture)


def test_a_string_is_no_child_of_a_cell_space():
    with pytest.raises(ValueError, match="its children are a Genotype"):
        get_space("nasnet").tokens("nasnet_a")


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("nas", "space is 'nas': choose from nasnet, darts_like, nasbench201"),
        ({}, "space is None"),
        ({"name": "nasnet", "depth": 3}, "nasnet has no option 'depth'; it has blocks, operations, combines"),
        ({"name": "darts_like", "blocks": 3}, "darts_like has no option 'blocks'; it has none"),
        ({"name": "nasnet", "blocks": 0}, "blocks is 0"),
        ({"name": "nasnet", "blocks": True}, "blocks is True"),
        ({"name": "nasnet", "blocks": 10**9}, "from 1 to 20"),
        ({"name": "nasnet", "operations": []}, r"operations is \[\]"),
        ({"name": "nasnet", "operations": "identity"}, "operations is 'identity'"),
        ({"name": "nasnet", "operations": ["conv"]}, "operations has the unknown 'conv'"),
        ({"name": "nasnet", "combines": ["add", "add"]}, "combines has 'add' twice"),
    ],
)
def test_a_wrong_space_is_told_why(space, message):
    with pytest.raises(ValueError, match=message):
        get_space(space)


# === Imports ===


def test_import_loads_no_framework():
    code = (
        "import sys; from keras_nasnet.search import get_space, make_controller, make_evaluator; "
        "[make_controller(name, get_space('nasbench201')).ask(1) for name in ('random', 'evolution')]; "
        "import keras_nasnet.search.evaluators.tabular; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"keras", "tensorflow", "jax", "torch"} & set(done.stdout.split())

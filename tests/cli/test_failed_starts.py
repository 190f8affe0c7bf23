"""A command that cannot start says so in one line, and leaves no folder."""

import numpy as np
import pytest
from click.testing import CliRunner

from keras_nasnet.cli.main import main
from keras_nasnet.training.recipe import Recipe
from tests.support.toy import NETWORK


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What people give by mistake."""
    place = tmp_path_factory.mktemp("inputs")
    (place / "empty").mkdir()
    (place / "text.txt").write_text("text")
    (place / "not.keras").write_text("text")
    (place / "not.npz").write_bytes(b"PK\x03\x04 broken")
    (place / "not.toml").write_text("name = ")
    (place / "no_network.toml").write_text('name = "mine"\n[network]\nnum_blocks = -1\npenultimate_filters = 48\n')
    images = np.zeros((4, 32, 32, 3), np.uint8)
    np.savez(
        place / "four.npz",
        train_images=images,
        train_labels=np.arange(4) % 2,
        test_images=images,
        test_labels=[0, 1, 0, 1],
    )
    Recipe("large_batch", network=NETWORK, batch=64).save(place / "large_batch.toml")
    return place


STARTS = {
    "train": [
        ("nosuch",),
        ("INPUTS/nosuch.toml",),
        ("INPUTS/not.toml",),
        ("INPUTS/empty",),
        ("cifar10", "--data", "INPUTS/nosuch/"),
        ("cifar10", "--data", "INPUTS/empty"),
        ("cifar10", "--data", "INPUTS/not.npz"),
        ("cifar10", "--data", "INPUTS/text.txt"),
        ("cifar10", "--set", "network.genotype=INPUTS/text.txt", "--data", "INPUTS/four.npz"),
        ("INPUTS/no_network.toml", "--data", "INPUTS/four.npz"),
        ("INPUTS/large_batch.toml", "--data", "INPUTS/four.npz"),
    ],
    "finetune": [
        ("INPUTS/nosuch",),
        ("INPUTS/empty",),
        ("INPUTS/text.txt",),
        ("INPUTS/empty", "--model", "nosuch"),
        ("INPUTS/empty", "--model", "INPUTS/not.keras"),
        ("INPUTS/empty", "--set", "epochs=0"),
    ],
    "features": [
        ("INPUTS/nosuch",),
        ("INPUTS/empty",),
        ("INPUTS/text.txt",),
    ],
    "export": [
        ("nosuch", "--to", "keras"),
        ("INPUTS/not.keras", "--to", "keras"),
        ("INPUTS/empty", "--to", "keras"),
    ],
    "search run": [
        ("--preset", "nosuch"),
        ("--preset", "INPUTS/not.toml"),
        ("--controller", "nosuch"),
        ("--engine", "nosuch"),
    ],
    "zoo publish": [
        ("nosuch", "--to", "org/name", "--dry-run"),
        ("INPUTS/empty", "--to", "org/name", "--dry-run"),
        ("nasnet_a_cifar10", "--to", "no repository", "--dry-run"),
    ],
}
OUT = {"features": "--out=OUT.npz", "export": "--out=OUT.keras", "zoo publish": "--folder=OUT"}


@pytest.mark.parametrize(
    ("command", "arguments"), [(command, arguments) for command, rows in STARTS.items() for arguments in rows]
)
def test_a_start_that_fails_leaves_no_folder(command, arguments, inputs, tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    before = sorted(inputs.rglob("*"))
    out = OUT.get(command, "--out=OUT").replace("OUT", str(tmp_path / "work" / "new" / "run"))
    line = [*command.split(), *(argument.replace("INPUTS", str(inputs)) for argument in arguments), out]
    result = CliRunner().invoke(main, line)
    assert result.exit_code == 2, result.output
    *warnings, error = result.stderr.splitlines()
    assert result.stdout == "" and error.startswith("Error: ")
    assert all(warning.startswith("warning: ") for warning in warnings)
    assert not list((tmp_path / "work").iterdir()) and sorted(inputs.rglob("*")) == before


@pytest.mark.parametrize(
    ("marker", "line"),
    [
        ("store.sqlite", ["train", "cifar10"]),
        ("store.sqlite", ["finetune", "FOLDER"]),
        ("checkpoint.safetensors", ["search", "run"]),
        ("params.yaml", ["train", "cifar10"]),
        ("SHA256SUMS", ["finetune", "FOLDER"]),
    ],
)
def test_runs_of_two_kinds_share_no_folder(marker, line, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / marker).touch()
    result = CliRunner().invoke(main, [*line, "--out", str(tmp_path / "run")])
    assert result.exit_code == 2 and "choose another folder" in result.output
    assert [file.name for file in (tmp_path / "run").iterdir()] == [marker]


def test_a_recipe_cannot_choose_where_it_is_written(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "evil.toml").write_text('name = "../../escaped"\n')
    result = CliRunner().invoke(main, ["train", "evil.toml", "--data", "nosuch/"])
    assert result.exit_code == 2 and "has no '/'" in result.output
    assert [path.name for path in tmp_path.rglob("*")] == ["work", "evil.toml"]

"""Published to a Hub on loopback and loaded again: bit for bit, in one commit, and no token to be seen."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from damage import damaged
from hub_server import TOKEN, HubServer
from PIL import Image
from toy import NETWORK

import keras_nasnet
from keras_nasnet import NASNet
from keras_nasnet.cli.main import main
from keras_nasnet.training.network import save_model
from keras_nasnet.zoo import hub, loading, model_folder, publish
from keras_nasnet.zoo.publish import prepare

SMALL = {**NETWORK, "stem": "cifar", "stem_filters": 4}
REPO = "someone/small-net"
METRICS = [{"name": "top1", "value": 0.9125, "data": "toys test, 40 images", "script": "s", "date": "2026-01-02"}]


def values(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for path, value in actual.items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run's folder with a net in it, and the net."""
    run = tmp_path_factory.mktemp("run")
    model = NASNet(
        **SMALL,
        classes=3,
        class_names=["ant", "bee", "größe"],
        preprocessing={"height": 32, "width": 32, "crop_fraction": 0.875, "mean": [1, 2, 3], "std": [4, 5, 6]},
        name="small",
    )
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(0.1, 1, variable.shape))
    save_model(model, run / "model.keras")
    (run / "metrics.json").write_text(json.dumps(METRICS))
    (run / "recipe.toml").write_text('name = "mine"\ndataset = "/home/me/secret place"\n')
    return run, model


@pytest.fixture
def server():
    server = HubServer()
    yield server
    server.close()


def python(code, environment, cwd, *arguments):
    known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = known | {"PYTHONPATH": str(Path(__file__).parents[2]), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    program = [sys.executable, *(["-c", code] if code else ["-m", "keras_nasnet.cli.main"]), *map(str, arguments)]
    return subprocess.run(program, env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


def card_data(folder):
    from huggingface_hub import ModelCard

    return ModelCard.load(folder / "README.md").data


# === The folder ===


def test_a_folder_holds_the_model_and_all_that_belongs_to_it(small, tmp_path):
    run, model = small
    folder = prepare(run, REPO, tmp_path / "out")
    assert {file.name for file in folder.iterdir()} == {
        "README.md",
        "SHA256SUMS",
        "class_names.json",
        "config.json",
        "metadata.json",
        "metrics.json",
        "model.weights.h5",
        "preprocessing.json",
    }
    assert json.loads((folder / "class_names.json").read_text()) == ["ant", "bee", "größe"]
    assert json.loads((folder / "preprocessing.json").read_text()) == model.preprocessing.to_dict()
    assert json.loads((folder / "metrics.json").read_text()) == METRICS
    subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    loaded = keras_nasnet.load(folder)
    assert_equal(values(loaded), values(model))
    assert loaded.class_names == model.class_names
    assert loaded.preprocessing == model.preprocessing
    assert loaded.name == "small"
    assert_equal(values(keras.saving.load_model(folder)), values(model))


def test_a_run_folder_loads_as_its_model(small):
    assert_equal(values(keras_nasnet.load(small[0])), values(small[1]))


def test_the_card_says_what_the_hub_reads(small, tmp_path):
    folder = prepare(small[0], REPO, tmp_path / "out", licence="MIT")
    data = card_data(folder)
    assert (data.library_name, data.license, data.model_name) == ("keras", "mit", "small-net")
    assert "keras-nasnet" in data.tags
    (result,) = data.eval_results
    assert (result.dataset_name, result.dataset_split, result.metric_type) == ("toys", "test", "accuracy")
    assert result.metric_value == 0.9125
    text = (folder / "README.md").read_text()
    assert "91.25 %" in text
    assert 'name = "mine"' in text
    assert "secret" not in text  # places on the publisher's machine


def test_the_card_of_an_entry_keeps_published_results_out_of_the_measured(tmp_path):
    name = "nasnet_a_cifar10"
    data = card_data(prepare(name, "me/net", tmp_path / "out"))
    assert data.datasets == ["uoft-cs/cifar10"]
    assert [result.metric_value for result in data.eval_results] == [loading.entry(name)["metrics"][0]["value"]]
    entry = loading.entry("nasnet_a_mobile_keras")
    card = publish.write_card(loading.load(name), "me/net", None, publish._origin(entry["name"], None))
    assert "74.37 % | ImageNet validation, 50,000 images | published, not rerun here" in card
    assert "model-index" not in card


def test_writing_again_replaces_but_nothing_else_is_touched(small, tmp_path):
    folder = prepare(small[0], REPO, tmp_path / "out")
    (folder / "README.md").write_text("old")
    prepare(small[0], REPO, folder)
    assert "small-net" in (folder / "README.md").read_text()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").touch()
    with pytest.raises(ValueError, match=r"is no model's folder"):
        prepare(small[0], REPO, tmp_path / "mine")
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


@pytest.mark.parametrize("cases", [pytest.param(30, id="30"), pytest.param(500, id="500", marks=pytest.mark.slow)])
@pytest.mark.parametrize("file", ["config.json", "model.weights.h5", "SHA256SUMS"])
def test_a_damaged_folder_is_refused_in_one_line(small, tmp_path, file, cases):
    folder = prepare(small[0], REPO, tmp_path / "out")
    content, random = (folder / file).read_bytes(), np.random.default_rng(0)
    expected, loaded = values(small[1]), 0  # loaded: only a line changed that loading does not need
    for _ in range(cases):
        (folder / file).write_bytes(damaged(content, random))
        try:
            model = keras_nasnet.load(folder)
        except ValueError as error:
            assert "\n" not in str(error)
        else:
            assert file == "SHA256SUMS"
            assert_equal(values(model), expected)
            assert model.class_names == small[1].class_names
            loaded += 1
    assert loaded < cases * 0.8
    (folder / file).unlink()
    if file != "SHA256SUMS":
        with pytest.raises(ValueError, match=r"no model in this folder"):
            keras_nasnet.load(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"registered_name": "Functional", "class_name": "Functional"}, "holds a Functional"),
        ({"registered_name": None, "class_name": "Lambda"}, "holds a Lambda"),
        ({"config": {"layers": []}}, "not a NASNet"),
        ({"config": {"genotype": "nasnet_z"}}, "is not a NASNet's"),
        ({"config": SMALL | {"classes": 7}}, "is not for this model"),
        ({"config": SMALL | {"classes": 3, "num_blocks": 2}}, "is not for this model"),
    ],
)
def test_only_a_nasnet_is_ever_built(small, tmp_path, change, words):
    folder = prepare(small[0], REPO, tmp_path / "out")
    (folder / "SHA256SUMS").unlink()  # as of somebody else
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match=words) as error:
        keras_nasnet.load(folder)
    assert "\n" not in str(error.value)


# === The Hub ===


@pytest.fixture(scope="module")
def published(small, tmp_path_factory):
    """A Hub with the net on it, put there by the command; and an empty folder for those who read it."""
    server = HubServer()
    folder = tmp_path_factory.mktemp("published")
    done = python(None, server.environment(folder), folder, "zoo", "publish", small[0], "--to", REPO)
    assert done.returncode == 0, done.stderr
    yield server, done.stdout.strip(), folder / "reader"
    server.close()


def test_all_files_come_in_one_commit(published):
    server, address, _ = published
    commit = server.repositories[REPO]["branches"]["main"]
    assert address == f"{server.address}/{REPO}/commit/{commit}"
    assert [path for method, path in server.seen if "/commit/" in path] == [f"/api/models/{REPO}/commit/main"]
    assert server.way["model.weights.h5"] == "lfs"
    assert server.way["preprocessing.json"] == "regular"


def test_loaded_in_a_fresh_process_the_logits_are_bit_equal(small, published, tmp_path):
    """By our load at a revision, and by Keras' own."""
    server, address, reader = published
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np, keras, keras_nasnet\n"
        "images = np.load('images.npy')\n"
        "nets = keras_nasnet.load(sys.argv[1]), keras.saving.load_model(sys.argv[2])\n"
        "np.savez('out.npz', *(net.predict_on_batch(images) for net in nets))\n"
    )
    commit = address.rpartition("/")[2]
    done = python(code, server.environment(reader, token=""), tmp_path, f"hf://{REPO}@{commit}", f"hf://{REPO}")
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "out.npz")
    for name in ("arr_0", "arr_1"):
        np.testing.assert_array_equal(outputs[name], small[1].predict_on_batch(images))


def test_the_cards_example_runs_offline_from_the_cache(small, published, tmp_path):
    server, _, reader = published
    environment = server.environment(reader, token="")
    done = python(f"from keras_nasnet.zoo import hub; hub.download('hf://{REPO}', ['*'])", environment, tmp_path)
    assert done.returncode == 0, done.stderr
    (code,) = re.findall(r"```python\n(.*?)```", server.files(REPO)["README.md"].decode(), re.DOTALL)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "photo.jpg")
    before = len(server.seen)
    done = python(code, environment | {"HF_HUB_OFFLINE": "1"}, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] in small[1].class_names
    assert len(server.seen) == before


def test_a_branch_leaves_the_main_one_as_it_is(server, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    code = (
        "import sys; from pathlib import Path; from keras_nasnet.zoo import hub\n"
        "hub.upload(Path('folder'), sys.argv[1], 'v1', 'message', False)"
    )
    done = python(code, server.environment(tmp_path), tmp_path, REPO)
    assert done.returncode == 0, done.stderr
    assert set(server.files(REPO)) == {".gitattributes"}
    assert server.files(REPO, "v1")["config.json"] == b"{}"


@pytest.mark.parametrize(
    ("fault", "token", "words"),
    [
        ({}, "", "set HF_TOKEN"),
        ({}, "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", "set HF_TOKEN"),
        ({"repos/create": 403}, TOKEN, "may not do this"),
        ({"/commit/": 409}, TOKEN, "run again"),
        ({"/store/": 403}, TOKEN, f"{REPO} cannot be published"),
    ],
)
def test_refusals_show_no_token(server, tmp_path, fault, token, words):
    server.fail |= fault
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.weights.h5").write_bytes(bytes(2000))
    environment = server.environment(tmp_path, token) | {"HF_HUB_VERBOSITY": "debug", "HF_DEBUG": "1"}
    code = (
        "import sys; from pathlib import Path; from keras_nasnet.zoo import hub\n"
        "hub.upload(Path('folder'), sys.argv[1], None, 'message', False)"
    )
    done = python(code, environment, tmp_path, REPO)
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("ValueError: ")]
    assert said.startswith(f"ValueError: {REPO} cannot be published: ")
    assert words in said
    assert (token or TOKEN) not in done.stderr + done.stdout
    assert "model.weights.h5" not in server.files(REPO) if REPO in server.repositories else True


def test_the_command_says_it_in_one_line(small, server, tmp_path):
    """And what it has made shows no token either."""
    wrong = TOKEN[::-1]
    done = python(
        None,
        server.environment(tmp_path, wrong),
        tmp_path,
        "zoo",
        "publish",
        small[0],
        "--to",
        REPO,
        "--folder",
        "kept",
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    kept = b"".join(file.read_bytes() for file in (tmp_path / "kept").iterdir()).decode("latin1")
    assert wrong not in done.stderr + done.stdout + kept


def test_what_is_not_there(server, tmp_path):
    environment = server.environment(tmp_path, token=None)
    done = python(None, environment, tmp_path, "classify", __file__, "--model", "hf://no/such")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "hf://no/such cannot be downloaded" in done.stderr
    before = len(server.seen)
    code = "from keras_nasnet.zoo import hub\nhub.download('hf://no/such', ['*'])"
    done = python(code, environment | {"HF_HUB_OFFLINE": "1"}, tmp_path)
    assert "ValueError: hf://no/such cannot be downloaded" in done.stderr
    assert len(server.seen) == before


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b c"])
def test_what_is_no_address(address):
    with pytest.raises(ValueError, match="not an address"):
        keras_nasnet.load(address)


def test_a_hub_that_changes_the_weights_is_caught(published, tmp_path):
    server = published[0]
    files = server.files(REPO)
    right = files["model.weights.h5"]
    wrong = bytearray(right)
    wrong[len(wrong) // 2] ^= 1
    files["model.weights.h5"] = bytes(wrong)
    code = f"import keras_nasnet\nkeras_nasnet.load('hf://{REPO}')"
    done = python(code, server.environment(tmp_path, token=""), tmp_path)
    files["model.weights.h5"] = right
    assert done.returncode == 1
    assert "model.weights.h5 is damaged" in done.stderr.splitlines()[-1]
    assert hashlib.sha256(wrong).hexdigest() in done.stderr.splitlines()[-1]


def test_dry_run_needs_no_hub(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "upload", None)
    done = CliRunner().invoke(main, ["zoo", "publish", str(small[0]), "--to", REPO, "--dry-run"])
    assert done.exit_code == 0, done.output
    assert "model.weights.h5" in done.stdout
    assert "license: apache-2.0" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["no_such", "--to", REPO], "no_such"),
        (["nasnet_a_cifar10", "--to", "noslash"], "write ORG/NAME"),
        (["nasnet_a_cifar10", "--to", REPO, "--revision", "a b"], "not a branch"),
        ([".", "--to", REPO], "no model in this folder"),
    ],
)
def test_what_cannot_be_published(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["zoo", "publish", *arguments])
    assert done.exit_code == 2
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert words in done.stderr


def test_a_file_of_results_that_is_none(small, tmp_path):
    prepare(small[0], REPO, tmp_path / "out")
    for text in ("{", "[1]", '[{"name": "top1"}]', "{}x"):
        (tmp_path / "out" / "metrics.json").write_text(text)
        with pytest.raises(ValueError, match="not a file of results"):
            prepare(tmp_path / "out", REPO, tmp_path / "again")
    assert not (tmp_path / "again").exists()
    assert model_folder.is_model_folder(tmp_path / "out")


def test_the_results_of_evaluate_are_published(small, tmp_path):
    run, _ = small
    result = {"model": str(run), "data": "tfds:toys", "split": "test", "images": 1200, "top1": 0.5, "top5": None}
    result |= {"ece": 0.0123456789, "date": "2026-01-02", "hardware": "an abacus"}
    path = tmp_path / "results.json"
    path.write_text(f"{json.dumps(result | {'model': 'other'})}\n{json.dumps(result)}\n")
    folder = prepare(run, REPO, tmp_path / "out", results=path)
    assert [(metric["name"], metric["value"]) for metric in json.loads((folder / "metrics.json").read_text())] == [
        ("top1", 0.5),
        ("ece", 0.012346),
    ]
    card = (folder / "README.md").read_text()
    assert "| top1 | 50.00 % | tfds:toys test, 1,200 images | measured: keras-nasnet evaluate, an abacus" in card
    assert {result.dataset_split for result in card_data(folder).eval_results} == {"test"}
    for text, words in (("{}", "not what"), (json.dumps(result | {"model": "other"}), "has no result of")):
        path.write_text(text)
        with pytest.raises(ValueError, match=words):
            prepare(run, REPO, tmp_path / "out", results=path)

"""Published to a Hub on loopback and loaded again: bit for bit, in one commit, and no token to be seen."""

import hashlib
import os
import re
import subprocess
import sys

import huggingface_hub
import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import keras_nasnet
from keras_nasnet.cli.main import main
from keras_nasnet.zoo.sources import hub
from tests.support import COMMAND, NUMPY, ROOT
from tests.support.eager import eagerly
from tests.support.hub_server import TOKEN, HubServer
from tests.support.same_weights import assert_equal, values
from tests.support.small_run import REPO, write_run


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A run's folder, and the net in it."""
    run = tmp_path_factory.mktemp("run")
    return run, write_run(run)


@pytest.fixture
def server():
    server = HubServer()
    yield server
    server.close()


def python(code, environment, cwd, *arguments):
    known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = known | {"PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"} | environment
    program = [sys.executable, *(["-c", code] if code else ["-m", "keras_nasnet.cli.main"]), *map(str, arguments)]
    return subprocess.run(program, env=environment, cwd=cwd, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def commands(small, tmp_path_factory):
    """A Hub with the net on it, put there by the command, after one with a wrong token; and what they said."""
    server = HubServer()
    folder = tmp_path_factory.mktemp("published")
    results = []
    for name, token in (("wrong", TOKEN[::-1]), ("right", TOKEN)):
        with pytest.MonkeyPatch.context() as patch:
            server.use_here(patch, folder, token)
            arguments = ["zoo", "publish", str(small[0]), "--to", REPO, "--folder", str(folder / name)]
            done = CliRunner().invoke(main, arguments)
            results.append((done.exit_code, done.stdout, done.stderr))
    yield server, folder, results
    server.close()


@pytest.fixture
def published(commands):
    """The Hub, the commit's address, and an empty folder for those who read it."""
    server, folder, (_, (code, said, error)) = commands
    assert code == 0, error
    return server, said.strip(), folder / "reader"


def test_all_files_come_in_one_commit(published):
    server, address, _ = published
    commit = server.repositories[REPO]["branches"]["main"]
    assert address == f"{server.address}/{REPO}/commit/{commit}"
    assert [path for method, path in server.seen if "/commit/" in path] == [f"/api/models/{REPO}/commit/main"]
    assert server.way["model.weights.h5"] == "lfs"
    assert server.way["preprocessing.json"] == "regular"


def test_loaded_in_a_fresh_process_the_logits_are_bit_equal(small, published, tmp_path):
    """By our load at a revision, and by Keras' own, which also reads the run's `.keras` file to the last bit.

    In a process that has only imported this package.
    """
    server, address, reader = published
    run, model = small
    images = np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys, numpy as np, keras, keras_nasnet\n"
        "images = np.load('images.npy')\n"
        "nets = [keras_nasnet.load(sys.argv[1]), *map(keras.saving.load_model, sys.argv[2:])]\n"
        "np.savez('out.npz', *[keras.ops.convert_to_numpy(net(images, training=False)) for net in nets])\n"
        "np.savez('weights.npz', **{w.path: keras.ops.convert_to_numpy(w) for w in nets[2].weights})\n"
        "assert nets[2].class_names == ('ant', 'bee', 'größe') and nets[2].preprocessing.width == 32\n"
    )
    commit = address.rpartition("/")[2]
    done = python(
        code,
        server.environment(reader, token=""),
        tmp_path,
        f"hf://{REPO}@{commit}",
        f"hf://{REPO}",
        run / "model.keras",
    )
    assert done.returncode == 0, done.stderr
    outputs = np.load(tmp_path / "out.npz")
    expected = keras.ops.convert_to_numpy(model(images, training=False))
    for name in ("arr_0", "arr_1", "arr_2"):
        np.testing.assert_array_equal(outputs[name], expected)
    assert_equal(dict(np.load(tmp_path / "weights.npz")), values(model))


def test_the_cards_example_runs_offline_from_the_cache(small, published, tmp_path, monkeypatch, capsys):
    server, _, reader = published
    server.use_here(monkeypatch, reader, token="")
    hub.download(f"hf://{REPO}", ["*"])
    (code,) = re.findall(r"```python\n(.*?)```", server.files(REPO)["README.md"].decode(), re.DOTALL)
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(tmp_path / "photo.jpg")
    before = len(server.seen)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    with eagerly():
        exec(code, {})
    assert capsys.readouterr().out.splitlines()[-1] in small[1].class_names
    assert len(server.seen) == before


def test_a_branch_leaves_the_main_one_as_it_is(server, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").write_text("{}")
    code = (
        "import sys; from pathlib import Path; from keras_nasnet.zoo.sources import hub\n"
        "hub.upload(Path('folder'), sys.argv[1], 'v1', 'message', False)"
    )
    done = python(code, server.environment(tmp_path), tmp_path, REPO)
    assert done.returncode == 0, done.stderr
    assert set(server.files(REPO)) == {".gitattributes"}
    assert server.files(REPO, "v1")["config.json"] == b"{}"


REFUSALS = [
    ({}, "", "set HF_TOKEN"),
    ({}, "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", "set HF_TOKEN"),
    ({"repos/create": 403}, TOKEN, "may not do this"),
    ({"/store/": 403}, TOKEN, f"{REPO} cannot be published"),
    ({"/commit/": 409}, TOKEN, "run again"),  # last: the file is in the store then
]


def test_refusals_show_no_token(server, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.weights.h5").write_bytes(bytes(2000))
    known = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    known |= server.environment(tmp_path) | {"PYTHONPATH": str(ROOT), "HF_HUB_VERBOSITY": "debug", "HF_DEBUG": "1"}
    code = (  # one process for all: a token a line comes in, an error a line goes out
        "import os, sys; from pathlib import Path; from keras_nasnet.zoo.sources import hub\n"
        "for line in sys.stdin:\n"
        "    os.environ['HF_TOKEN'] = line.strip()\n"
        "    try: hub.upload(Path('folder'), sys.argv[1], None, 'message', False)\n"
        "    except ValueError as error: print(error, flush=True)\n"
        "    else: print('published', flush=True)"
    )
    with (
        open(tmp_path / "stderr", "w+b") as stderr,
        subprocess.Popen(
            [sys.executable, "-c", code, REPO],
            env=known,
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        ) as process,
    ):
        for fault, token, words in REFUSALS:
            server.fail.clear()
            server.fail |= fault
            process.stdin.write(f"{token}\n")
            process.stdin.flush()
            said = process.stdout.readline()
            assert said.startswith(f"{REPO} cannot be published: ")
            assert words in said
            stderr.seek(0)
            assert (token or TOKEN) not in stderr.read().decode() + said
            if REPO in server.repositories:
                assert "model.weights.h5" not in server.files(REPO)
        process.stdin.close()


def test_the_command_says_it_in_one_line(commands):
    """And what it has made shows no token either."""
    _, folder, ((code, said, error), _) = commands
    assert (code, said, len(error.splitlines())) == (2, "", 1), error
    for token, name in ((TOKEN[::-1], "wrong"), (TOKEN, "right")):
        kept = b"".join(file.read_bytes() for file in (folder / name).iterdir()).decode("latin1")
        assert token not in error + kept


def test_what_is_not_there(server, tmp_path):
    environment = server.environment(tmp_path, token=None)
    done = python(None, environment, tmp_path, "classify", __file__, "--model", "hf://no/such")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert "hf://no/such cannot be downloaded: it is not there, or needs a token: check the name" in done.stderr
    before = len(server.seen)
    code = "from keras_nasnet.zoo.sources import hub\nhub.download('hf://no/such', ['*'])"
    done = python(code, environment | {"HF_HUB_OFFLINE": "1"}, tmp_path)
    assert "ValueError: hf://no/such cannot be downloaded" in done.stderr
    assert len(server.seen) == before


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://a/b c"])
def test_what_is_no_address(address):
    with pytest.raises(ValueError, match="not an address"):
        keras_nasnet.load(address)


def test_a_hub_that_changes_the_weights_is_caught(published, tmp_path, monkeypatch):
    server = published[0]
    files = server.files(REPO)
    wrong = bytearray(files["model.weights.h5"])
    wrong[len(wrong) // 2] ^= 1
    monkeypatch.setitem(files, "model.weights.h5", bytes(wrong))
    server.use_here(monkeypatch, tmp_path, token="")
    with pytest.raises(ValueError, match=r"model\.weights\.h5 is damaged") as error:
        keras_nasnet.load(f"hf://{REPO}")
    assert hashlib.sha256(wrong).hexdigest() in str(error.value)


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


def test_a_full_disk_is_said_in_a_line_and_nothing_is_left(small, tmp_path, mount):
    """In a process of its own: HDF5 would end it."""
    mount(tmp_path / "full", "size=60k")
    folder = tmp_path / "full" / "model"
    arguments = ("zoo", "publish", small[0], "--to", REPO, "--dry-run", "--folder", folder)
    done = python(COMMAND, NUMPY, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert done.stderr.splitlines() == [f"Error: {folder} cannot be written (No space left on device)"]
    assert list((tmp_path / "full").iterdir()) == []

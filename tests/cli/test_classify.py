"""The command `keras-nasnet classify`, and the model it uses by default."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from keras_nasnet.cli.classify import table
from keras_nasnet.cli.main import main
from keras_nasnet.inference import fold
from keras_nasnet.zoo import loading as zoo
from tests.support import ROOT, SCRIPTS
from tests.support.toy import NETWORK

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def run(*arguments):
    return CliRunner().invoke(main, ["classify", *map(str, arguments)])


def json_lines(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture(scope="module", autouse=True)
def keras_home(tmp_path_factory):
    """Compiled networks do not pile up in the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("keras")))
        yield


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "image.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """100 files, of which 5 are broken: empty, text, two truncated, a damaged header."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number in range(100):
        pixels = generator.integers(0, 256, (48, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:03}.{('jpg', 'png', 'webp', 'bmp')[number % 4]}")
    (folder / "003.bmp").write_bytes(b"")
    (folder / "020.jpg").write_text("not an image")
    for name in ("041.png", "072.jpg"):
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content[: len(content) // 2])
    content = bytearray((folder / "099.bmp").read_bytes())
    content[:8] = b"12345678"
    (folder / "099.bmp").write_bytes(content)
    return folder


BROKEN = ["003.bmp", "020.jpg", "041.png", "072.jpg", "099.bmp"]


# === Output ===


def test_folder_with_broken_files(folder, small, tmp_path):
    """As a program: nothing but its own words on stdout and stderr."""
    small().save(tmp_path / "model.keras")
    command = [sys.executable, "-m", "keras_nasnet.cli.main", "classify", str(folder), "--json"]
    command += ["--model", str(tmp_path / "model.keras")]
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    environment["PYTHONPATH"] = str(ROOT)
    result = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert result.returncode == 2, result.stderr
    errors = result.stderr.splitlines()
    assert len(errors) == 5
    for name, line in zip(BROKEN, errors, strict=True):
        assert line.startswith(f"{folder / name}: ")
    paths = [Path(entry["path"]) for entry in json_lines(result)]
    assert paths == sorted(file for file in folder.iterdir() if file.name not in BROKEN)
    assert len(paths) == 95


@pytest.fixture(scope="module")
def shipped():
    return zoo.load("nasnet_a_cifar10")


def test_json_lines_agree_with_the_model(image, shipped):
    result = run(image, image, "--json", "--top", 10)
    assert (result.exit_code, result.stderr) == (0, "")
    first, second = json_lines(result)
    assert first == second
    assert first["path"] == str(image)
    assert sorted(entry["label"] for entry in first["predictions"]) == sorted(CLASSES)
    probabilities = [entry["probability"] for entry in first["predictions"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    expected = np.asarray(shipped(shipped.preprocess(image), training=False))[0]
    for entry in first["predictions"]:
        assert entry["probability"] == pytest.approx(expected[CLASSES.index(entry["label"])], abs=1e-5)


def test_table(image):
    result = run(image, "--top", 3)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == str(image)
    assert len(lines) == 4
    assert all(line.split()[0] in CLASSES and line.split()[2] == "%" for line in lines[1:])


def test_table_lines():
    text = table("a.png", [("cat", 0.75), ("automobile", 0.2), ("dog", 0.0)])
    assert text.splitlines() == [
        "a.png",
        "  cat          75.0 %  " + "█" * 18,
        "  automobile   20.0 %  " + "█" * 4 + "▊",
        "  dog           0.0 %",
    ]


def test_what_folders_hold_beside_images_is_said(image, tmp_path):
    folder = tmp_path / "photos"
    for name in ("1.jfif", "2", "@eaDir/3.jpg", "more/@eaDir/4.jpg", "._5.jpg", "more/6.JPG"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.open(image).save(folder / name, "JPEG")
    (folder / "\x1b[31mred.txt").write_text("x")
    (folder / "more" / "loop").symlink_to(folder)
    result = run(folder, "--json")
    assert result.exit_code == 0
    assert [os.path.relpath(line["path"], folder) for line in json_lines(result)] == ["1.jfif", "2", "more/6.JPG"]
    assert result.stderr.splitlines() == [
        f"warning: {folder}: left out \\x1b[31mred.txt: no image",
        f"warning: {folder}: left out more/loop: a link to a folder that is taken already",
    ]


# === Errors ===


def refusal(*arguments):
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.mark.parametrize("top", [0, -1, 11])
def test_top_out_of_range(image, top):
    assert f"--top is {top}" in refusal(image, "--top", top)


def test_no_images(tmp_path):
    (tmp_path / "notes.txt").touch()
    assert f"{tmp_path}: no images" in refusal(tmp_path)


def test_an_empty_path_is_not_the_current_folder(image, monkeypatch):
    monkeypatch.chdir(image.parent)
    assert "an argument is empty" in refusal("")
    assert "an argument is empty" in refusal(image, "")
    assert "an argument is empty" in refusal(image, "--model", "")
    assert "an argument is empty" in refusal(image, "--model=")


def test_missing_path(image, tmp_path):
    assert "nowhere.png: no such file" in refusal(image, tmp_path / "nowhere.png")


def test_bad_models(image, tmp_path):
    assert "choose from nasnet_a_cifar10" in refusal(image, "--model", "nasnet_z")
    assert "no such file" in refusal(image, "--model", tmp_path / "missing.keras")
    assert "not a .keras file" in refusal(image, "--model", image)
    assert "has no classifier" in refusal(image, "--model", "nasnet_a_mobile_keras_no_top")
    assert "no model in this folder" in refusal(image, "--model", tmp_path)
    assert "not an address" in refusal(image, "--model", "hf://nothing")
    (tmp_path / "bad.keras").write_text("nothing")
    assert "not a .keras file" in refusal(image, "--model", tmp_path / "bad.keras")


def test_refusals_need_no_keras(tmp_path):
    code = (
        "import sys; from keras_nasnet.cli.main import main\n"
        "try: main()\n"
        "finally: print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & set(sys.modules)))"
    )
    for arguments in (["nowhere.png"], [".", "--top", "11"], [".", "--model", "nasnet_z"], ["--help"]):
        (tmp_path / "image.png").touch()
        command = [sys.executable, "-c", code, "classify", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, check=False)
        assert result.stdout.splitlines()[-1] == "[]"


# === Other Models ===


@pytest.fixture(scope="module")
def small():
    from keras_nasnet import NASNet

    def build(**arguments):
        return NASNet(**NETWORK, **({"stem": "cifar", "classes": 4} | arguments))

    return build


def test_keras_file_with_logits_without_names(small, image, tmp_path):
    model = small(classifier_activation=None)
    model.save(tmp_path / "logits.keras")
    result = run(image, "--json", "--model", tmp_path / "logits.keras")
    assert result.exit_code == 0, result.stderr
    predictions = json_lines(result)[0]["predictions"]
    assert sorted(entry["label"] for entry in predictions) == ["0", "1", "2", "3"]
    logits = np.asarray(model(model.preprocess(image)))[0].astype(float)
    expected = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()  # the net is not trained
    for entry in predictions:
        assert entry["probability"] == pytest.approx(expected[int(entry["label"])], abs=1e-5)


def test_auxiliary_head(small, image, tmp_path):
    model = small(auxiliary_head=True, class_names=["a", "b", "c", "d"])
    model.save(tmp_path / "auxiliary.keras")
    options = ("--json", "--engine", "tensorflow")  # which compiles nothing first
    predictions = json_lines(run(image, *options, "--model", tmp_path / "auxiliary.keras"))[0]["predictions"]
    expected = np.asarray(model(model.preprocess(image))["predictions"])[0]
    for entry in predictions:
        assert entry["probability"] == pytest.approx(expected["abcd".index(entry["label"])], abs=1e-5)


def test_any_input_size(small, image, tmp_path):
    small(input_shape=(None, None, 3)).save(tmp_path / "any.keras")
    Image.new("RGB", (20, 40)).save(tmp_path / "small.png")
    options = ("--json", "--engine", "tensorflow")
    result = run(image, tmp_path / "small.png", image, *options, "--model", tmp_path / "any.keras")
    assert result.exit_code == 2
    assert len(json_lines(result)) == 2
    assert "20x40 pixels are too few" in result.stderr


def test_refuses_what_is_no_classifier(small, image, tmp_path):
    import keras

    small(include_top=False).save(tmp_path / "features.keras")
    assert "no classifier" in refusal(image, "--model", tmp_path / "features.keras")
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    assert "not a NASNet" in refusal(image, "--model", tmp_path / "other.keras")


# === Catalog ===


def test_load(shipped):
    assert list(shipped.class_names) == CLASSES
    assert shipped.preprocess(Image.new("RGB", (50, 40))).shape == (1, 32, 32, 3)
    with pytest.raises(ValueError, match="nasnet_a_cifar10"):
        zoo.load("nothing")


def test_catalog_agrees_with_the_training_script():
    script = SCRIPTS / "train_embedded.py"
    values = {}
    for node in ast.parse(script.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id in ("BUILDER", "MEAN", "STD"):
                values[target.id] = ast.literal_eval(node.value)
    entry = zoo.entry("nasnet_a_cifar10")
    builder = values["BUILDER"] | {"num_blocks": list(values["BUILDER"]["num_blocks"])}
    assert entry.builder == builder | {"stem": "cifar", "input_shape": [32, 32, 3]}
    assert entry.preprocessing.mean == tuple(values["MEAN"])
    assert entry.preprocessing.std == tuple(values["STD"])


def right_answers(model, every=1):
    """Whether each, or each n-th, test image of CIFAR-10 is classified right, by class."""
    root = os.environ.get("KERAS_NASNET_TEST_DATA")
    if not root:
        pytest.skip("KERAS_NASNET_TEST_DATA is not set: the folder that holds cifar10/test_*.webp")
    strips = sorted(Path(root, "cifar10").glob("test_*.webp"))
    if not strips:
        pytest.skip(f"{root} has no cifar10/test_*.webp")
    folded = fold(model)  # equal, and half the work
    right = {label: [] for label in range(10)}
    for strip in strips:
        with Image.open(strip) as opened:
            images = np.asarray(opened.convert("RGB")).reshape(-1, 32, 32, 3)[::every]
        label = int(strip.name.split("_")[1])
        for first in range(0, len(images), 250):
            batch = model.preprocess(images[first : first + 250])
            right[label] += (np.asarray(folded(batch, training=False)).argmax(-1) == label).tolist()
    return right


def stated_accuracy():
    return next(metric["value"] for metric in zoo.entry("nasnet_a_cifar10").metrics if metric["name"] == "top1")


def test_shipped_accuracy(shipped):
    """On a tenth of the test images of CIFAR-10: about what is stated, and no class is taken for another."""
    right = right_answers(shipped, every=10)
    assert {len(answers) for answers in right.values()} == {100}
    assert np.mean([*right.values()]) == pytest.approx(stated_accuracy(), abs=0.02)  # two standard deviations
    assert min(map(np.mean, right.values())) > 0.7


@pytest.mark.slow  # all 10,000 images
def test_shipped_accuracy_is_the_stated_one(shipped):
    right = right_answers(shipped)
    assert {len(answers) for answers in right.values()} == {1000}
    accuracy = np.mean([*right.values()])
    assert accuracy >= 0.88
    assert accuracy == pytest.approx(stated_accuracy(), abs=0.001)

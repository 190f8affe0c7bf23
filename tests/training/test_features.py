"""Feature extraction: its numbers, labels and files."""

import sys

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import keras_nasnet
from keras_nasnet import Block, CellSpec, Genotype, NASNet
from keras_nasnet.cli.main import main
from keras_nasnet.models.weights import copy_weights

CELL = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")),), ((2,),))


def make(**options):
    keras.utils.set_random_seed(0)
    return NASNet(Genotype(CELL, CELL), 1, 96, stem="cifar", classes=4, **options)


@pytest.fixture(scope="module")
def model():
    return make()


def picture(path, seed=0, format=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path, format)
    return path


@pytest.fixture
def folder(tmp_path):
    """Two classes, one with a nested folder; a broken image, a text file, an image in no class."""
    root = tmp_path / "photos"
    for seed, name in enumerate(("ant/1.png", "ant/deep/er/2.png", "bee/1.jpg", "stray.png")):
        picture(root / name, seed)
    (root / "ant" / "broken.png").write_bytes(b"no image")
    (root / "ant" / "notes.txt").write_text("notes")
    return root


NAMES = ("ant/1.png", "ant/deep/er/2.png", "bee/1.jpg", "stray.png")
LABELS = ("ant", "ant", "bee", "")


def test_features_are_what_the_classifier_reads(model, folder):
    found = keras_nasnet.extract_features(model, folder)
    assert found.features.dtype == np.float32
    assert found.features.shape == (4, model.get_layer("predictions").kernel.shape[0])
    kernel, bias = (keras.ops.convert_to_numpy(weight) for weight in model.get_layer("predictions").weights)
    logits = found.features @ kernel + bias
    expected = keras.ops.convert_to_numpy(model(model.preprocess(list(found.paths)), training=False))
    np.testing.assert_allclose(np.exp(logits) / np.exp(logits).sum(1, keepdims=True), expected, atol=1e-5)
    assert np.ptp(expected, axis=0).max() > 1e-4


def test_paths_labels_and_problems(model, folder):
    said = []
    found = keras_nasnet.extract_features(model, folder, say=said.append)
    assert found.paths == tuple(str(folder / name) for name in NAMES)
    assert found.labels == LABELS
    assert list(found.problems) == said
    assert said[0] == f"{folder}: left out ant/notes.txt: no image"
    assert said[1].startswith(f"{folder / 'ant' / 'broken.png'}: not an image")
    assert len(said) == 2


def test_splits_are_no_classes(model, tmp_path):
    for name in ("train/ant/1.png", "train/bee/1.png", "val/ant/2.png"):
        picture(tmp_path / name)
    assert keras_nasnet.extract_features(model, tmp_path).labels == ("ant", "bee", "ant")
    picture(tmp_path / "test" / "3.png")  # in no class folder
    assert keras_nasnet.extract_features(model, tmp_path).labels == ("", "ant", "bee", "ant")


def test_classes_called_like_splits(model, tmp_path):
    for name in ("bus/1.png", "test/2.jfif", "train/3", "valid/@eaDir/4.png", "valid/5.webp"):
        picture(tmp_path / name, format="JPEG" if name in ("test/2.jfif", "train/3") else None)
    assert keras_nasnet.extract_features(model, tmp_path).labels == ("bus", "test", "train", "valid")


def test_linked_folders_and_loops(model, tmp_path):
    picture(tmp_path / "store" / "1.png")
    picture(tmp_path / "data" / "ant" / "2.png")
    (tmp_path / "data" / "bee").symlink_to("../store")
    (tmp_path / "data" / "ant" / "again").symlink_to("../../data")
    found = keras_nasnet.extract_features(model, tmp_path / "data")
    assert found.labels == ("ant", "bee")
    assert found.problems == (f"{tmp_path / 'data'}: left out ant/again: a link to a folder that is taken already",)


def test_labels_from_a_table(model, tmp_path):
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", number)
    (tmp_path / "labels.csv").write_text("image,species\n2,bee\n0,ant\n")
    found = keras_nasnet.extract_features(model, tmp_path / "photos", labels=tmp_path / "labels.csv")
    assert [path.rsplit("/")[-1] for path in found.paths] == ["0.png", "2.png"]
    assert found.labels == ("ant", "bee")
    assert found.problems == (f"{tmp_path / 'photos'}: left out 1.png: not in {tmp_path / 'labels.csv'}",)


def test_a_set_of_tensorflow_datasets(model, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    image = picture(tmp_path / "1.png")
    features = {"photo": tfds.features.Image(), "kind": tfds.features.ClassLabel(names=["ant", "bee"])}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="insects",
        version="1.0.0",
        features=tfds.features.FeaturesDict(features),
        split_datasets={
            split: [(number, {"photo": str(image), "kind": kind}) for number, kind in enumerate(kinds)]
            for split, kinds in (("test", [1, -1]), ("train", [0, 1, 1]))
        },
        data_dir=tmp_path,
    )
    found = keras_nasnet.extract_features(model, "tfds:insects", data_dir=str(tmp_path))
    assert sorted(found.labels) == ["", "ant", "bee", "bee", "bee"]
    assert found.paths[0].startswith("insects, ") and found.paths[0].endswith(", image 0")
    np.testing.assert_allclose(
        found.features[0], keras_nasnet.extract_features(model, image).features[0], rtol=1e-4, atol=1e-5
    )


def test_files_one_by_one_and_batches(model, tmp_path, monkeypatch):
    paths = [picture(tmp_path / f"{number}.png", number) for number in range(5)]
    whole = keras_nasnet.extract_features(model, paths)
    monkeypatch.setattr("keras_nasnet.training.features.BATCH", 2)
    parts = keras_nasnet.extract_features(model, paths)
    np.testing.assert_allclose(parts.features, whole.features, rtol=1e-4, atol=1e-5)
    assert parts.paths == whole.paths == tuple(map(str, paths))
    assert parts.labels == ("",) * 5
    reversed_ones = keras_nasnet.extract_features(model, paths[::-1])
    np.testing.assert_allclose(reversed_ones.features[::-1], whole.features, rtol=1e-4, atol=1e-5)


def test_any_image_size(model, tmp_path):
    path = picture(tmp_path / "a.png")
    large = keras_nasnet.extract_features(model, path, image_size=48).features
    expected = make(include_top=False, pooling="avg", input_shape=(48, 48, 3))
    copy_weights(model, expected)
    np.testing.assert_allclose(large, expected(expected.preprocess(path)), rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match="image_size is 16x16: images must be at least 32x32"):
        keras_nasnet.extract_features(model, path, image_size=16)


def test_an_auxiliary_head_is_left_out(tmp_path):
    aux = make(auxiliary_head=True, input_shape=(64, 64, 3))
    plain = make(input_shape=(64, 64, 3))
    plain.set_weights([w for v, w in zip(aux.weights, aux.get_weights(), strict=True) if "auxiliary" not in v.path])
    path = picture(tmp_path / "a.png")
    np.testing.assert_allclose(
        keras_nasnet.extract_features(aux, path).features, keras_nasnet.extract_features(plain, path).features
    )


# === Files ===


def test_npz(model, folder, tmp_path):
    out = tmp_path / "new" / "features.npz"
    found = keras_nasnet.extract_features(model, folder, out)
    with np.load(out) as file:
        np.testing.assert_array_equal(file["features"], found.features)
        assert tuple(file["paths"]) == found.paths
        assert tuple(file["labels"]) == LABELS
    assert list(out.parent.iterdir()) == [out]


def test_parquet(model, folder, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    found = keras_nasnet.extract_features(model, folder, tmp_path / "features.parquet")
    table = parquet.read_table(tmp_path / "features.parquet").to_pydict()
    np.testing.assert_array_equal(np.array(table["features"], np.float32), found.features)
    assert tuple(table["path"]) == found.paths
    assert tuple(table["label"]) == LABELS


def test_parquet_without_pyarrow(model, folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ValueError, match=r"pip install 'keras-nasnet\[parquet\]', or write .npz"):
        keras_nasnet.extract_features(model, folder, tmp_path / "features.parquet")


def test_refusals(model, folder, tmp_path):
    def refusal(*arguments):
        with pytest.raises(ValueError) as error:
            keras_nasnet.extract_features(*arguments)
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "must end in .npz or .parquet" in refusal(model, folder, tmp_path / "features.csv")
    assert "nowhere: no such file or folder" in refusal(model, tmp_path / "nowhere")
    assert "there are no images" in refusal(model, [])
    (tmp_path / "empty").mkdir()
    assert "no images in this folder" in refusal(model, tmp_path / "empty")
    assert "choose from nasnet_a_cifar10" in refusal("nasnet_z", folder)
    broken = refusal(model, folder / "ant" / "broken.png")
    assert broken.startswith("none of 1 images can be read; the first: ")


# === Command ===


def command(*arguments):
    return CliRunner().invoke(main, ["features", *map(str, arguments)])


def test_command(model, folder, tmp_path):
    model.save(tmp_path / "tiny.keras")
    out = tmp_path / "features.npz"
    result = command(folder, "--model", tmp_path / "tiny.keras", "--out", out)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"wrote {out}: 4 images, 96 features each\n"
    left_out, broken = result.stderr.splitlines()
    assert left_out == f"warning: {folder}: left out ant/notes.txt: no image"
    assert broken.startswith(f"warning: {folder / 'ant' / 'broken.png'}: not an image")
    with np.load(out) as file:
        np.testing.assert_allclose(
            file["features"], keras_nasnet.extract_features(model, folder).features, rtol=1e-4, atol=1e-5
        )


def test_command_refuses_in_one_line(folder, tmp_path):
    for arguments in (
        (folder, "--out", tmp_path / "features.txt"),
        (tmp_path / "nowhere", "--out", tmp_path / "features.npz"),
        (folder, "--out", tmp_path / "features.npz", "--model", "nasnet_z"),
    ):
        result = command(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
        assert len(result.stderr.splitlines()) == 1

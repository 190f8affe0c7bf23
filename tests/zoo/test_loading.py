"""Small nets in the formats of the public files, by name: exact, kept, and refused when damaged."""

import gc
import hashlib
import signal
import subprocess
import sys
import time

import h5py
import keras
import numpy as np
import pytest
import tomli_w
from keras.src.legacy.saving import legacy_h5_format

import keras_nasnet
from keras_nasnet import NASNet, zoo
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.zoo import applications
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.files import converted_file
from keras_nasnet.zoo.formats import keras_h5, slim, timm, weights_file
from keras_nasnet.zoo.loading import fill
from tests.support.catalog_entry import write_entry
from tests.support.damage import damaged
from tests.support.foreign_files import write_keras_h5, write_slim, write_timm
from tests.support.same_weights import assert_equal, values

SMALL = {"num_blocks": 1, "penultimate_filters": 192, "stem_filters": 8, "input_shape": [64, 64, 3]}
CLASSES = ["a", "b", "c"]
FORMATS = ("keras_h5", "slim", "timm", "keras_nasnet")


WRITE = {
    "keras_h5": write_keras_h5,
    "slim": write_slim,
    "timm": write_timm,
    "keras_nasnet": lambda path, model: weights_file.save(model, path),
}


@pytest.fixture(scope="module")
def nets(tmp_path_factory):
    """A folder of entries, with the files that they name: one of each format, of one net; and its weights."""
    folder = tmp_path_factory.mktemp("nets")
    with without_random_values():
        model = small_model()
    random = np.random.default_rng(0)
    for variable in model.weights:
        variable.assign(random.uniform(0.5, 1, variable.shape))
    for name in FORMATS:
        WRITE[name](folder / name, model)
        write_entry(folder, f"small_{name}", name, name, SMALL, {"moving_averages": True}, class_names=CLASSES)
    write_entry(folder, "small_slim_raw", "slim", "slim", SMALL, {"moving_averages": False}, class_names=CLASSES)
    return folder, values(model)


@pytest.fixture(scope="module")
def scratch():
    """A network to read into; what is in it is nobody's business."""
    with without_random_values():
        return small_model()


@pytest.fixture(scope="module")
def headless():
    """Likewise, without a classifier and for other images."""
    with without_random_values():
        return NASNet(**SMALL | {"input_shape": [96, 64, 3]}, include_top=False)


@pytest.fixture(scope="module")
def four_classes():
    """A network that the entries do not fit."""
    with without_random_values():
        return NASNet(**SMALL, classes=4)


@pytest.fixture(scope="module")
def conversion(nets, tmp_path_factory):
    """What is kept of small_timm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KERAS_NASNET_CATALOG", str(nets[0]))
        patch.setenv("KERAS_HOME", str(tmp_path_factory.mktemp("home")))
        zoo.load("small_timm")
        return converted_file(zoo.info("small_timm")).read_bytes()


@pytest.fixture
def kept(expected, conversion):
    """The file that is kept of small_timm, as if it had been loaded before."""
    path = converted_file(zoo.info("small_timm"))
    path.parent.mkdir(parents=True)
    path.write_bytes(conversion)
    return path


@pytest.fixture
def expected(nets, tmp_path, monkeypatch):
    """The weights of all entries; nothing is kept yet."""
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(nets[0]))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return nets[1]


def small_model():
    return NASNet(**SMALL, classes=len(CLASSES))


def no_conversion(*arguments, **options):
    raise AssertionError("converted")


def refusal(function, *arguments):
    with pytest.raises(ValueError) as error:
        function(*arguments)
    assert "\n" not in str(error.value)
    return str(error.value)


# === Loaded ===


@pytest.mark.parametrize("name", FORMATS)
def test_weights_are_exact_and_kept(expected, scratch, name, monkeypatch):
    model = zoo.load(f"small_{name}")
    assert_equal(values(model), expected)
    assert model.class_names == tuple(CLASSES)
    assert model.preprocess(np.zeros((70, 80, 3), np.uint8)).shape == (1, 64, 64, 3)
    kept = converted_file(zoo.info(f"small_{name}"))
    assert kept.exists() == (name != "keras_nasnet")
    for form in (keras_h5.KerasH5, slim.Slim, timm.Timm):
        monkeypatch.setattr(form, "read", no_conversion)
    fill(f"small_{name}", scratch)
    assert_equal(values(scratch), expected)
    if name == "timm":
        second = keras_nasnet.load(f"small_{name}")
        assert_equal(values(second), expected)
        assert second.get_config() == model.get_config()
    assert len(zoo.verify(f"small_{name}")) == 1 + kept.exists()


def test_raw_weights_instead_of_averages(expected):
    for path, value in values(zoo.load("small_slim_raw")).items():
        np.testing.assert_array_equal(value, expected[path] + ("/moving_" not in path), err_msg=path)
    assert_equal(values(zoo.load("small_slim")), expected)


def test_kernels_are_random_again(kept):
    zoo.load("small_timm")
    layer = keras.layers.Dense(3)
    layer.build((1, 8))
    assert np.std(keras.ops.convert_to_numpy(layer.kernel)) > 0


@pytest.mark.parametrize("name", ["keras_h5", "keras_nasnet"])
def test_fill_leaves_out_the_classifier(expected, headless, name):
    model = headless
    for _ in range(2):  # converted, then kept
        for variable in model.weights:
            variable.assign(np.zeros(variable.shape))
        fill(f"small_{name}", model)
        assert_equal(values(model), {path: expected[path] for path in values(model)})


@pytest.mark.parametrize("name", ["timm", "keras_nasnet"])
def test_fill_refuses_another_model_and_keeps_the_file(expected, kept, scratch, four_classes, name):
    before = values(four_classes)
    assert "is not for this model: predictions/bias" in refusal(fill, f"small_{name}", four_classes)
    assert_equal(values(four_classes), before)
    assert kept.exists()
    fill(f"small_{name}", scratch)
    assert_equal(values(scratch), expected)


def test_a_cache_that_cannot_be_written_costs_the_conversion_only(expected, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    assert_equal(values(zoo.load("small_timm")), expected)


def test_applications_take_names(expected, monkeypatch):
    small = {key: value for key, value in SMALL.items() if key != "input_shape"}
    monkeypatch.setitem(VARIANTS, "nasnet_a_6_4032_imagenet", small)
    model = keras_nasnet.NASNetLarge(weights="small_timm", classes=3, classifier_activation=None)
    assert_equal(values(model), expected)
    monkeypatch.setitem(applications._BEST, ("nasnet_a_6_4032_imagenet", False), "small_slim")
    model = keras_nasnet.NASNetLarge(include_top=False, pooling="avg", input_shape=(64, 96, 3))
    assert_equal(values(model), {path: expected[path] for path in values(model)})


def test_best_entries_have_the_best_published_results():
    for size, name in (("mobile", "4_1056"), ("large", "6_4032")):
        chosen = applications._BEST[f"nasnet_a_{name}_imagenet", True]
        results = {
            name: result["value"] for name in zoo.list(f"nasnet_a_{size}_*") for result in zoo.info(name).published
        }
        assert len(results) >= 2
        assert chosen == max(results, key=results.get)


# === Refused ===


def test_a_kept_file_that_is_damaged(expected, kept, scratch):
    content = bytearray(kept.read_bytes())
    content[-5] ^= 1
    for act in (zoo.verify, zoo.load, lambda name: fill(name, scratch)):
        kept.write_bytes(content)
        assert "the file is deleted" in refusal(act, "small_timm")
        assert not kept.exists()
    assert_equal(values(zoo.load("small_timm")), expected)


def test_kill_9_while_the_weights_are_kept(expected, tmp_path):
    """Whenever it comes, what is left loads or is absent."""
    code = (
        "import numpy, os, signal\n"
        "from keras_nasnet import zoo\n"
        "from keras_nasnet.zoo import files\n"
        "from keras_nasnet.zoo.formats import weights_file\n"
        "os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)\n"
        "weights_file.write(files.converted_file(zoo.info('small_timm')), {'a': numpy.zeros(3)})"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert result.returncode == -signal.SIGKILL, result.stderr
    kept = converted_file(zoo.info("small_timm"))
    assert list(kept.parent.iterdir())
    assert not kept.exists()
    assert_equal(values(zoo.load("small_timm")), expected)
    assert list(kept.parent.iterdir()) == [kept]  # what was left is gone


# === Fuzz ===


CASES = [pytest.param(20, id="20"), pytest.param(500, id="500", marks=pytest.mark.slow)]


@pytest.mark.parametrize("cases", CASES)
@pytest.mark.parametrize("name", [*FORMATS, "kept"])
def test_damaged_files_of_the_catalog(expected, nets, kept, scratch, tmp_path, monkeypatch, name, cases):
    """By name: an error of one line, never other weights."""
    if name == "kept":
        entry, file = "small_timm", kept
    else:
        kept.unlink()
        (tmp_path / "catalog").mkdir()
        entry, file = f"small_{name}", tmp_path / "catalog" / name
        (tmp_path / "catalog" / f"{entry}.toml").write_bytes((nets[0] / f"{entry}.toml").read_bytes())
        file.write_bytes((nets[0] / name).read_bytes())
        monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path / "catalog"))
    content, random = file.read_bytes(), np.random.default_rng(cases)
    model = scratch
    before = values(model)
    for _ in range(cases):
        changed = damaged(content, random)
        if changed != content:
            file.write_bytes(changed)
            if name == "kept":
                refusal(fill, entry, model)
            else:
                refusal(zoo.path, entry)
                refusal(zoo.load, entry)
    assert_equal(values(model), before)
    file.write_bytes(content)
    fill(entry, model)
    assert_equal(values(model), expected)


@pytest.mark.parametrize(
    ("name", "cases"),
    [(name, 5 if name == "keras_h5" else 20) for name in FORMATS]  # Keras' takes a quarter of a second for each
    + [pytest.param(name, 500, marks=pytest.mark.slow) for name in FORMATS],
)
def test_damaged_files_given_to_the_readers(expected, nets, scratch, tmp_path, name, cases):
    """Without a checksum beside it: an error of one line and the model as it was, or all weights read."""
    read = {
        "keras_h5": keras_h5.from_keras,
        "slim": slim.from_slim_archive,
        "timm": timm.from_timm,
        "keras_nasnet": weights_file.load,
    }[name]
    content, random = (nets[0] / name).read_bytes(), np.random.default_rng(cases)
    model = scratch
    for _ in range(cases):
        (tmp_path / "weights").write_bytes(damaged(content, random))
        try:
            read(tmp_path / "weights", model)
        except ValueError as error:
            assert "\n" not in str(error), error
            continue
        if name == "keras_nasnet":  # with a checksum in it
            assert_equal(values(model), expected)


# === Speed ===


@pytest.mark.slow
def test_the_second_load_takes_half_of_what_keras_applications_takes(tmp_path, monkeypatch):
    """Both check the file in their cache, build and load; the same generated weights; the better of two times each."""
    path = tmp_path / "models" / "nasnet_large.h5"  # its name and place in Keras' cache
    path.parent.mkdir()
    source = keras.applications.NASNetLarge(weights=None)
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, source)
    del source
    checksum = hashlib.md5(path.read_bytes()).hexdigest()

    get_file = keras.utils.get_file
    monkeypatch.setattr(
        keras.src.applications.nasnet.file_utils,
        "get_file",
        lambda name, origin, cache_subdir, file_hash: get_file(
            name, origin, cache_subdir=cache_subdir, file_hash=checksum, cache_dir=tmp_path
        ),
    )
    data = entries.entry("nasnet_a_large_keras").to_dict()
    data["source"] = {"format": "keras_h5", "file": str(path), "md5": checksum}
    (tmp_path / "nasnet_a_large_keras.toml").write_text(tomli_w.dumps(data))
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    zoo.load("nasnet_a_large_keras")

    def seconds(act):
        keras.backend.clear_session()
        gc.collect()
        started = time.perf_counter()
        act()
        return time.perf_counter() - started

    theirs, ours = [], []
    for _ in range(2):
        theirs.append(seconds(lambda: keras.applications.NASNetLarge(weights="imagenet")))
        ours.append(seconds(lambda: zoo.load("nasnet_a_large_keras")))
    print(f"keras.applications {min(theirs):.1f} s, second load {min(ours):.1f} s")
    assert min(ours) <= min(theirs) / 2

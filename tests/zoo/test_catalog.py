"""What the catalog says fits the networks that it names."""

import functools
import json
import math
import tomllib
from pathlib import Path

import pytest
import tomli_w

import keras_nasnet
from keras_nasnet import zoo
from keras_nasnet.accelerate.random_values import without_random_values
from keras_nasnet.models.named import VARIANTS
from keras_nasnet.zoo.catalog import entries

NAMES = zoo.list()
PUBLIC = {  # source of each public file, and its checksum
    "nasnet_a_mobile_keras": ("NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61"),
    "nasnet_a_mobile_keras_no_top": ("NASNet-mobile-no-top.h5", "1ed92395b5b598bdda52abe5c0dbfd63"),
    "nasnet_a_large_keras": ("NASNet-large.h5", "11577c9a518f0070763c2b964a382f17"),
    "nasnet_a_large_keras_no_top": ("NASNet-large-no-top.h5", "d81d89dc07e6e56530c4e77faddd61b5"),
    "nasnet_a_mobile_slim": ("nasnet-a_mobile_04_10_2017.tar.gz", "7777886f3de3d733d3a6bf8b80e63555"),
    "nasnet_a_large_slim": ("nasnet-a_large_04_10_2017.tar.gz", "5286bdbb29bab27c4d3431c70f8becf9"),
    "nasnet_a_large_timm": (
        "model.safetensors",
        "a9852852333c258f0d86b90185580de4bbad1265cb3a9eb1f13165b91bfe638d",
    ),
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_files(name):
    source = zoo.info(name).source.to_dict()
    place = source.get("url", source.get("file")).split("/")[-1]
    assert (place, source.get("md5", source.get("sha256"))) == PUBLIC[name]


def test_averaged_and_raw_weights_are_of_one_file():
    for size in ("mobile", "large"):
        averaged, raw = (zoo.info(f"nasnet_a_{size}_slim{end}").source for end in ("", "_raw"))
        assert averaged.moving_averages is True
        assert raw.moving_averages is False
        assert averaged.place == raw.place


@pytest.mark.parametrize("name", NAMES)
def test_entry_is_complete(name):
    entry = zoo.info(name)
    assert entry.name == name
    assert entry.dataset == ("cifar10" if "cifar10" in name else "imagenet2012")
    assert [entry.preprocessing.height, entry.preprocessing.width, 3] == entry.builder["input_shape"]
    assert (entry.class_names is not None) == (entry.task == "classification")
    if entry.dataset == "imagenet2012" and entry.class_names is not None:
        names = entry.class_names
        assert (len(names), len(set(names))) == (1000, 1000)
        assert (names[0], names[207], names[999]) == ("tench", "golden retriever", "toilet tissue")


@pytest.mark.parametrize(("size", "variant"), [("mobile", "4_1056"), ("large", "6_4032")])
def test_builders_are_the_papers_variants(size, variant):
    expected = VARIANTS[f"nasnet_a_{variant}_imagenet"]
    for name in zoo.list(f"*_{size}_*"):
        builder = zoo.info(name).builder
        for key in ("genotype", "num_blocks", "penultimate_filters", "stem"):
            assert builder[key] == expected[key]
        assert builder["skip_reduction"] == expected.get("skip_reduction", False)
        assert builder["stem_filters"] == expected.get("stem_filters", 32)


@functools.cache  # of several entries the network is the same
def counted(builder, classes):
    with without_random_values():
        model = keras_nasnet.NASNet(**json.loads(builder), classes=classes)
    return sum(math.prod(weight.shape) for weight in model.weights), keras_nasnet.mult_adds(model)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if "_large_" in name else ()) for name in NAMES]
)
def test_sizes_are_counted(name):
    entry = zoo.info(name)
    assert counted(json.dumps(entry.builder), len(entry.class_names or range(1000))) == (
        entry.parameters,
        entry.mult_adds,
    )


def test_an_entry_is_its_file_again():
    for name in NAMES:
        data = tomllib.loads((Path(entries.__file__).parent / f"{name}.toml").read_text())
        written = zoo.info(name).to_dict()
        assert written.pop("name") == name
        if isinstance(data.get("class_names"), str):
            data["class_names"] = list(zoo.info(name).class_names)
        if "url" not in data["source"] and "repo" not in data["source"]:
            data["source"]["file"] = zoo.path(name).as_posix()
        assert written == {"published": [], "metrics": []} | data


def test_list():
    assert zoo.list("*mobile*", task="features") == ["nasnet_a_mobile_keras_no_top"]
    assert "nasnet_a_large_timm" in zoo.list("*large*", task="classification")
    assert zoo.list("nothing*") == []
    with pytest.raises(ValueError, match="choose from classification, features"):
        zoo.list(task="dance")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "a file"}, "source is 'a file': it must be a table"),
        ({"builder": ["nasnet_a"]}, "builder is"),
        ({"description": 7}, "description is 7: it must be text"),
        ({"parameters": True}, "parameters is True"),
        ({"class_names": [1, 2]}, "class_names: class_names has 1: names of classes are text"),
        ({"class_names": "nowhere.tsv"}, "class_names: .*nowhere.tsv: no such file"),
        ({"metrics": [{"value": 1}]}, "metrics: each result is a table with a name and a value"),
        ({"preprocessing": {"height": 10**9, "width": 10**9}}, "preprocessing: "),
    ],
)
def test_an_entry_of_other_kinds_of_values_is_one_line(change, words, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path))
    (tmp_path / "own.toml").write_text(tomli_w.dumps(zoo.info("nasnet_a_cifar10").to_dict() | change))
    with pytest.raises(ValueError, match=words) as error:
        zoo.info("own")
    assert "\n" not in str(error.value)


def test_a_broken_entry_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path))
    (tmp_path / "own.toml").write_text("description = ")
    with pytest.raises(ValueError, match=r"own\.toml: not a readable entry"):
        zoo.info("own")
    (tmp_path / "own.toml").write_text('description = "d"\n[source]\nformat = "pickle"\nfile = "a"\n')
    with pytest.raises(ValueError, match=r"no task; .*no source\.format \(one of keras, .*no source\.md5"):
        zoo.info("own")
    assert "own" in zoo.list()
    whole = zoo.info("nasnet_a_cifar10").to_dict()
    (tmp_path / "own.toml").write_text(tomli_w.dumps(whole | {"preprocessing": {"height": 32, "wide": 32}}))
    with pytest.raises(ValueError, match=r"own\.toml: preprocessing: .*'wide'"):
        zoo.info("own")
    (tmp_path / "own.toml").write_text(tomli_w.dumps(whole | {"source": {"format": "slim", "md5": "0", "repo": "a/b"}}))
    with pytest.raises(ValueError, match=r"no source\.url, source\.file, or source\.repo with revision and file"):
        zoo.info("own")
    monkeypatch.setenv("KERAS_NASNET_CATALOG", str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="no such folder"):
        zoo.list()

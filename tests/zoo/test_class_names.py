"""The classes of a data set matched with those of a model, by names as people write them."""

from pathlib import Path

import pytest

from keras_nasnet.zoo import loading
from keras_nasnet.zoo.catalog import entries
from keras_nasnet.zoo.class_names import by_number, model_labels


def said_of(names, data_names):
    with pytest.raises(ValueError) as error:
        model_labels(names, data_names, "data")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture(scope="module")
def imagenet():
    """WordNet numbers and names."""
    lines = (Path(entries.__file__).parent / "imagenet.tsv").read_text("utf-8").splitlines()
    return tuple(zip(*(line.split("\t") for line in lines), strict=True))


def test_classes_by_name():
    assert model_labels(["a", "b", "c"], ["c", "a", "b"], "data").tolist() == [2, 0, 1]
    assert model_labels(["0", "1", "2"], ["b", "a", "c"], "data").tolist() == [0, 1, 2]
    numbers = [str(number) for number in range(12)]
    assert model_labels(numbers, sorted(numbers), "data").tolist() == [int(name) for name in sorted(numbers)]
    assert model_labels(["a", "a", "b"], ["a", "a", "b"], "data").tolist() == [0, 1, 2]


def test_some_of_the_classes():
    assert model_labels(["a", "b", "c"], ["c", "b"], "data").tolist() == [2, 1]
    assert model_labels(["0", "1", "2", "3"], ["3", "1"], "data").tolist() == [3, 1]


@pytest.mark.parametrize(
    "name", ["great_white_shark", "Great White Shark", "great-white-shark", "GREAT WHITE SHARK, white shark, man-eater"]
)
def test_names_as_people_write_them(imagenet, name):
    assert model_labels(imagenet[1], [name, "goldfish"], "data").tolist() == [2, 1]


def test_imagenet_by_number_or_name(imagenet):
    numbers, names = imagenet
    assert names == loading.entry("nasnet_a_mobile_keras").class_names
    assert model_labels(names, numbers, "data").tolist() == list(range(1000))
    assert model_labels(names, numbers[::-1], "data").tolist() == list(range(999, -1, -1))
    assert [names[label] for label in model_labels(names, sorted(names), "data")] == sorted(names)
    assert model_labels(names, numbers[500:510], "data").tolist() == list(range(500, 510))
    assert model_labels(names, ["n02085620-Chihuahua", "n01440764"], "data").tolist() == [151, 0]
    assert "'n99999999'" in said_of(names, ["n01440764", "n99999999"])


def test_the_dogs_of_imagenet(imagenet):
    dogs = range(151, 269)  # the network's own numbers
    assert model_labels(imagenet[1], imagenet[0][151:269], "data").tolist() == list(dogs)


def test_classes_by_the_models_labels(imagenet):
    assert by_number(imagenet[1], ["7", "281"])
    assert model_labels(imagenet[1], ["7", "281", "0"], "data").tolist() == [7, 281, 0]
    assert not by_number(imagenet[1], ["7", "cat"]) and not by_number(["0", "1"], ["0", "1"])
    assert "does not know its classes '7', '1000'" in said_of(imagenet[1], ["7", "1000"])


def test_names_that_only_spelling_tells_apart():
    names = ["Cat", "cat", "dog"]
    assert model_labels(names, ["cat", "dog"], "data").tolist() == [1, 2]
    assert said_of(names, ["CAT", "dog"]).startswith(
        "data: the model does not know its class 'CAT'; the model has 'Cat'"
    )


def test_other_classes():
    assert said_of("abc", "abcde") == "data: the model does not know its classes 'd', 'e'; the model has 'a', 'b', 'c'"
    assert said_of("abc", "abd") == "data: the model does not know its class 'd'; the model has 'a', 'b', 'c'"
    many = said_of("abc", "defghijk")
    assert many.startswith("data: the model does not know its classes 'd', 'e', 'f', 'g', 'h' and 3 more; ")
    assert said_of("012", "ab") == "data: has 2 classes, the model 3 without names"
    assert said_of("aab", "ba") == "the model calls 2 classes 'a': the names do not tell which is which"
    assert said_of("ab", "bba") == "data calls 2 classes 'b': the names do not tell which is which"
    assert said_of("ab", ["A", "a"]) == "data: its classes 'A', 'a' are all the model's class 'a'"

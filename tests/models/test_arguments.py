"""Arguments that make no network, or one that no machine could hold: refused before anything is built."""

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.common import limits
from keras_nasnet.models import arguments
from keras_nasnet.models.body import Body
from tests.support.toy import NETWORK

SMALL = NETWORK | {"stem": "cifar"}
NAN, INFINITE = float("nan"), float("inf")

BODIES = [
    ({"num_blocks": 10**8}, "num_blocks is 100000000: at most 1,000 cells"),
    ({"num_blocks": [1, 1, 10**8]}, "at most 1,000 cells"),
    ({"num_blocks": [1] * 10**6}, "give N, or three numbers"),
    ({"num_blocks": 1.0}, "give N, or three numbers"),
    ({"num_blocks": True}, "give N, or three numbers"),
    ({"num_blocks": "1"}, "give N, or three numbers"),
    ({"num_blocks": 10**400}, "at most 1,000 cells"),
    ({"penultimate_filters": 10**9}, "at most"),
    ({"penultimate_filters": 32.0}, "must be a whole number"),
    ({"penultimate_filters": "32"}, "must be a whole number"),
    ({"penultimate_filters": 32 * 20_000, "stem_filters": 8}, "the network has .* filters"),
    ({"stem_filters": 10**9}, "stem_filters is 1000000000: at most"),
    ({"stem_filters": 0}, "stem_filters is 0"),
    ({"stem_filters": [8]}, "stem_filters is"),
    ({"stem": ["cifar"]}, "stem is"),
    ({"stem": {}}, "stem is"),
    ({"pool_padding": []}, "pool_padding is"),
    ({"skip_reduction": 1}, "skip_reduction is 1: it must be true or false"),
    ({"drop_path_rate": NAN}, "drop_path_rate is nan: it must be from 0 up, below 1"),
    ({"drop_path_rate": "0.5"}, "drop_path_rate is '0.5'"),
    ({"drop_path_rate": 10**400}, "drop_path_rate is"),
    ({"batch_norm_momentum": INFINITE}, "batch_norm_momentum is inf"),
    ({"batch_norm_epsilon": -1}, "batch_norm_epsilon is -1"),
    ({"input_shape": 7}, "three entries"),
    ({"input_shape": [10**6, 10**6, 3]}, "at most 4096x4096"),
    ({"input_shape": [32.5, 32, 3]}, "at least 8x8"),
    ({"input_shape": ["32", 32, 3]}, "at least 8x8"),
    ({"input_shape": [32, 32, 0]}, "channels of input_shape is 0"),
    ({"input_shape": [32, 32, 10**9]}, "at most 100,000"),
    ({"data_format": ["channels_last"]}, "data_format is"),
    ({"dtype": "float99"}, "dtype is 'float99'"),
    ({"dtype": {"module": "keras.layers", "class_name": "Dense", "config": {"units": 3}}}, "dtype is"),
    ({"dtype": {"class_name": "DTypePolicy", "config": {"name": "float99"}}}, "dtype is"),
    ({"dtype": 7}, "dtype is 7"),
    ({"genotype": 7}, "genotype is 7"),
    ({"genotype": ["nasnet_a"]}, "genotype is"),
]
CLASSIFIERS = [
    ({"classes": 10**9}, "classes is 1000000000: at most 1,000,000"),
    ({"classes": 3.0}, "classes is 3.0"),
    ({"classes": None}, "classes is None"),
    ({"classes": 3, "class_names": ["a", "b"]}, "class_names has 2 names, but classes is 3"),
    ({"classes": 2, "class_names": ["a", 7]}, "class_names has 7: names of classes are text"),
    ({"classes": 2, "class_names": ["a", None]}, "class_names has None"),
    ({"classes": 2, "class_names": "ab"}, "it must be a list of names"),
    ({"classes": 1, "class_names": ["x" * 10_000]}, "10,000 characters"),
    ({"auxiliary_head": True, "input_shape": [4096, 4096, 3]}, "weights or more: at most"),
    ({"dropout": NAN}, "dropout is nan"),
    ({"dropout": 1}, "dropout is 1"),
    ({"pooling": ["avg"]}, "pooling is"),
    ({"include_top": 1}, "include_top is 1"),
    ({"auxiliary_head": "yes"}, "auxiliary_head is 'yes'"),
    ({"preprocessing": 7}, "preprocessing is 7"),
    ({"classifier_activation": "softmaxx"}, "classifier_activation is 'softmaxx'"),
    ({"classifier_activation": "get"}, "classifier_activation is 'get'"),
    ({"classifier_activation": {"class_name": "LeakyReLU", "config": {}}}, "classifier_activation is"),
    ({"classifier_activation": 7}, "classifier_activation is 7"),
]


def refusal(act, words):
    with pytest.raises(ValueError, match=words) as error:
        act()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 500


@pytest.mark.parametrize(("change", "words"), BODIES)
def test_a_body_that_is_none_is_refused_before_it_is_built(change, words, monkeypatch):
    monkeypatch.setattr(Body, "apply", lambda *arguments: pytest.fail("built"))
    refusal(lambda: NASNet(**SMALL | change), words)
    refusal(lambda: NASNetBackbone(**SMALL | change), words)


@pytest.mark.parametrize(("change", "words"), CLASSIFIERS)
def test_a_classifier_that_is_none_is_refused_before_it_is_built(change, words, monkeypatch):
    monkeypatch.setattr(Body, "apply", lambda *arguments: pytest.fail("built"))
    refusal(lambda: NASNet(**SMALL | change), words)


def test_layers_and_functions_of_ones_own_are_no_activations(monkeypatch):
    """A configuration could name any layer: it would be built, and run."""
    monkeypatch.setattr(Body, "apply", lambda *arguments: pytest.fail("built"))
    for activation in (keras.layers.LeakyReLU(), lambda x: x, keras.layers.Lambda(lambda x: x)):
        refusal(
            lambda activation=activation: NASNet(**SMALL, classifier_activation=activation), "classifier_activation"
        )


def test_activations_are_known_by_name_and_as_functions():
    found = [
        NASNet(**SMALL, classes=2, classifier_activation=activation).get_config()["classifier_activation"]
        for activation in (None, "sigmoid", keras.activations.softmax)
    ]
    assert found == ["linear", "sigmoid", "softmax"]


def test_numbers_of_numpy_are_numbers():
    network = NASNet(
        **SMALL | {"num_blocks": np.int64(1), "penultimate_filters": np.int32(32)},
        input_shape=(np.int64(32), 32, 3),
        classes=np.int64(3),
        dropout=np.float32(0.5),
    )
    assert network.output_shape == (None, 3)


def test_the_least_number_of_weights_is_not_above_the_real_one():
    for genotype in ("nasnet_a", "nasnet_b", "nasnet_c"):
        network = NASNet(genotype, 1, 240, stem="cifar", classes=10)
        body = Body(genotype, 1, 240, stem="cifar")
        least = arguments.least_parameters(body.sizes, 10)
        assert 0.15 * network.count_params() < least <= network.count_params()


def test_limits_may_be_raised(monkeypatch):
    monkeypatch.setattr(limits, "NETWORK_CELLS", 2)
    refusal(lambda: NASNet(**SMALL), "at most 2 cells")
    monkeypatch.setattr(limits, "NETWORK_CELLS", 3)
    NASNetBackbone(**SMALL)
    monkeypatch.setattr(limits, "NETWORK_BLOCKS", 4)
    refusal(lambda: NASNetBackbone(**SMALL), "5 blocks: at most 4")
    monkeypatch.setattr(limits, "NETWORK_BLOCKS", 5)
    monkeypatch.setattr(limits, "NETWORK_PARAMETERS", 100)
    refusal(lambda: NASNetBackbone(**SMALL), "weights or more: at most 100")

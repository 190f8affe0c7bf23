"""What was done to layers within cells and networks is there again: frozen, quantized, of another type, with LoRA."""

import itertools
import json

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet, NASNetBackbone
from keras_nasnet.accelerate.contents import all_layers
from keras_nasnet.genotype import NASNET_A, OPERATION_LAYERS, Block, CellSpec, Genotype
from keras_nasnet.inference.folding import fold
from keras_nasnet.layers import BatchNormalization, Cell, Operation, make_operation
from keras_nasnet.models.weights import copy_weights, for_inference

SPEC = CellSpec((Block((0, 1), ("sep_conv_3x3", "identity")), Block((0, 2), ("avg_pool_3x3", "conv_1x1"))), ((2, 3),))
GENOTYPE = Genotype(normal=SPEC, reduction=SPEC, name="tiny")
OPTIONS = {"num_blocks": 1, "penultimate_filters": 16, "stem": "cifar", "stem_filters": 4, "input_shape": (8, 8, 3)}
IMAGES = np.random.default_rng(0).uniform(-1, 1, (4, 8, 8, 3)).astype("float32")
LABELS = np.array([0, 1, 2, 0])


def network(**options):
    return NASNet(GENOTYPE, **OPTIONS | {"classes": 3} | options)


def backbone(**options):
    return NASNetBackbone(GENOTYPE, **OPTIONS | options)


def with_head(features, **options):
    tensor = keras.layers.GlobalAveragePooling2D()(features)
    return keras.layers.Dense(3, activation="softmax", **options)(tensor)


def around_cell():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, with_head(Cell(SPEC, 4, name="cell_1")(inputs)))


def cells_in_a_row():
    cell = Cell(SPEC, 4, name="cell_1")
    tail = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, activation="softmax")]
    return keras.Sequential([keras.Input((8, 8, 3)), cell, *tail])


def backbone_in_a_row():
    return keras.Sequential([backbone(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(3, "softmax")])


def around_backbone():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, with_head(backbone()(inputs)))


def upon_backbone():
    body = backbone()
    return keras.Model(body.inputs, with_head(body.output))


def behind_layers():
    inputs = keras.Input((8, 8, 3))
    return network(input_tensor=keras.layers.Rescaling(0.5)(inputs))


def operation():
    layers = [make_operation("sep_conv_3x3", 4, name="operation"), keras.layers.GlobalAveragePooling2D()]
    return keras.Sequential([keras.Input((8, 8, 3)), *layers, keras.layers.Dense(3, "softmax")])


MODELS = [
    network,
    backbone,
    around_cell,
    cells_in_a_row,
    backbone_in_a_row,
    around_backbone,
    upon_backbone,
    behind_layers,
    operation,
]


def state(model):
    """The flags and policies of all layers with weights, and the flags of all weights, in order.

    Not of models: Keras' clones and `Sequential` do not keep their own flags.
    """
    layers = [
        (type(layer).__name__, layer.trainable, layer.dtype_policy.name)
        for layer in all_layers(model)
        if layer.weights and not isinstance(layer, keras.Model)
    ]
    return layers, [(tuple(v.shape), keras.backend.standardize_dtype(v.dtype), v.trainable) for v in model.variables]


def saved(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def of_config(model, folder):
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(model)))
    again = keras.saving.deserialize_keras_object(config)
    again.set_weights(model.get_weights())
    return again


def clone(model, folder):
    again = keras.models.clone_model(model)
    again.set_weights(model.get_weights())
    return again


WAYS = [saved, of_config, clone]


def freeze_all(model):
    model.trainable = False


def freeze_all_but_one(model):
    model.trainable = False
    next(layer for layer in all_layers(model) if layer.name in ("cell_1", "operation")).trainable = True


def freeze_batch_norm(model):
    for layer in all_layers(model):
        if isinstance(layer, BatchNormalization):
            layer.trainable = False


def freeze_one_within(model):
    convolutions = [layer for layer in all_layers(model) if isinstance(layer, keras.layers.SeparableConv2D)]
    convolutions[0].trainable = False


def freeze_first_layers(model):
    for layer in model.layers[: len(model.layers) // 2]:
        layer.trainable = False


FREEZES = (freeze_all, freeze_all_but_one, freeze_batch_norm, freeze_one_within, freeze_first_layers)
EACH = list(itertools.product(MODELS, WAYS, FREEZES))
# Each model saved, with each kind of freezing in turn, and two of them in the other ways; the rest is slow.
SAVED = [(make, saved, FREEZES[number % len(FREEZES)]) for number, make in enumerate(MODELS)]
QUICK = SAVED + [(make, way, FREEZES[1]) for make in (network, upon_backbone) for way in (of_config, clone)]


@pytest.mark.parametrize(
    ("make", "way", "freeze"),
    [pytest.param(*case, marks=[] if case in QUICK else [pytest.mark.slow]) for case in EACH],
)
def test_frozen_layers_stay_frozen(make, way, freeze, tmp_path):
    model = make()
    freeze(model)
    again = way(model, tmp_path)
    assert state(again) == state(model)
    if way is not clone and type(model) in (NASNet, NASNetBackbone):
        assert again.trainable == model.trainable
        assert len(again.trainable_weights) == len(model.trainable_weights)


def test_nothing_is_said_where_nothing_was_done():
    model = network(drop_path_rate=0.2, dropout=0.1, dtype="mixed_bfloat16")
    assert not {"inner_layers", "trainable"} & model.get_config().keys()
    assert "inner_layers" not in backbone().get_config()
    assert "inner_layers" not in model.get_layer("cell_1").get_config()


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(make, marks=[] if make is network else [pytest.mark.slow])
        for make in MODELS
        if make is not backbone
    ],
)
def test_a_partly_frozen_model_is_trained_further(make, tmp_path):
    model = make()
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    freeze_first_layers(model)
    freeze_batch_norm(model)
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(IMAGES, LABELS, epochs=2, verbose=0)
    again = saved(model, tmp_path)
    assert int(again.optimizer.iterations) == 2
    for ours, theirs in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    for one in (model, again):
        keras.utils.set_random_seed(1)
        one.fit(IMAGES, LABELS, shuffle=False, verbose=0)
    for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_layers_made_when_a_frozen_cell_is_built_are_frozen_too():
    cell = Cell(SPEC, 4, trainable=False)
    cell(IMAGES, training=True)
    assert not any(layer.trainable for layer in all_layers(cell))
    later = Cell(SPEC, 4)
    later.trainable = False
    later.build((None, 8, 8, 3))
    assert not any(layer.trainable for layer in all_layers(later))
    assert not any(layer.trainable for layer in all_layers(backbone(trainable=False)))


def test_a_cell_that_is_not_built_yet_keeps_what_it_was_told():
    cell = Cell(SPEC, 4)
    cell.build((None, 8, 8, 3))
    cell.branches[0][0].batch_norms[1].trainable = False
    config = cell.get_config()
    assert config["inner_layers"] == {"block_0_left/batch_norm_2": {"trainable": False}}
    again = Cell.from_config(Cell.from_config(config).get_config())
    again.build((None, 8, 8, 3))
    assert state(again) == state(cell)


@pytest.mark.parametrize(
    ("mode", "way"),
    [
        pytest.param(mode, way, marks=[] if mode == "int8" and way is not clone else [pytest.mark.slow])
        for mode in ("int8", "int4", "float8")
        for way in WAYS
    ],
)
def test_quantized_networks_load(mode, way, tmp_path):
    if mode == "float8" and keras.backend.backend() == "torch":
        pytest.skip("Keras has no float8 on PyTorch")
    if mode == "float8" and way is clone:
        pytest.skip(
            "Keras clones the layers, and makes the weights of a float8 one in another order: they can't be copied"
        )
    model = network()
    model.trainable = False
    model.quantize(mode)
    again = way(model, tmp_path)
    assert again.get_layer("predictions").quantization_mode == mode
    assert state(again) == state(model)
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-6)
    assert state(saved(again, tmp_path)) == state(model)


def test_own_quantizers_are_kept(tmp_path):
    quantizers = keras.quantizers
    model = network()
    weights = quantizers.AbsMaxQuantizer(axis=0, value_range=(-7, 7))
    model.quantize(config=quantizers.Int8QuantizationConfig(weight_quantizer=weights, activation_quantizer=None))
    again = saved(model, tmp_path)
    assert tuple(again.get_layer("predictions").quantization_config.weight_quantizer.value_range) == (-7, 7)
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-6)


class DenseOperation(Operation):
    """An operation whose layers have the names that Keras gives them."""

    def build(self, input_shape):
        self.first, self.second = keras.layers.Dense(self.filters), keras.layers.Dense(self.filters)
        self.first.build(input_shape)
        self.second.build((*input_shape[:-1], self.filters))

    def call(self, inputs):
        return self.second(self.first(inputs))


@pytest.mark.slow
def test_operations_of_one_s_own_are_quantized_within_cells(tmp_path):
    OPERATION_LAYERS.register("two_dense", DenseOperation)
    spec = CellSpec((Block((0, 0), ("two_dense", "identity")),), ((1,),))
    with keras.saving.custom_object_scope({"DenseOperation": DenseOperation}):
        for dtype in ("float32", "mixed_bfloat16", keras.dtype_policies.DTypePolicyMap()):
            layers = [keras.Input((8, 8, 3)), Cell(spec, 3, dtype=dtype, name="cell"), keras.layers.Flatten()]
            model = keras.Sequential(layers)
            model.quantize("int8")
            model.get_layer("cell").branches[0][0].second.trainable = False
            keras.layers.Dense(2)  # counts on in Keras' names
            again = saved(model, tmp_path)
            assert state(again) == state(model)
            assert sum(v.dtype == "int8" for v in again.variables) == 2
            np.testing.assert_allclose(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "way"),
    [
        (network, saved),
        (network, of_config),
        (backbone, saved),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in ((network, clone), (backbone, of_config), (backbone, clone))
        ),
    ],
)
def test_dtype_policies(make, way, tmp_path):
    policies = keras.dtype_policies
    maps = {"cell_1/.*": policies.DTypePolicy("mixed_bfloat16"), "stem_batch_norm": policies.DTypePolicy("float32")}
    for dtype in ("mixed_bfloat16", "mixed_float16", policies.DTypePolicyMap("float32", maps)):
        model = make(dtype=dtype)
        freeze_one_within(model)
        again = way(model, tmp_path)
        assert state(again) == state(model)
        computed = [[layer.compute_dtype for layer in all_layers(one)] for one in (again, model)]
        assert computed[0] == computed[1] and len(set(computed[0])) == 2


def test_a_policy_that_was_set_later(tmp_path):
    model = network()
    model.get_layer("cell_1").branches[0][0].dtype_policy = "mixed_bfloat16"
    assert state(saved(model, tmp_path)) == state(model)


@pytest.mark.parametrize("way", [saved, pytest.param(of_config, marks=pytest.mark.slow)])
def test_lora(way, tmp_path):
    model = network(classifier_activation=None)
    model.trainable = False
    model.get_layer("predictions").trainable = True
    model.get_layer("predictions").enable_lora(2)
    model.get_layer("cell_1").branches[1][1].convolutions[0].enable_lora(3, lora_alpha=6)
    for variable in model.weights:
        if "lora" in variable.name:
            variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    again = way(model, tmp_path)
    assert state(again) == state(model)
    np.testing.assert_allclose(again.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0), atol=1e-4)
    folded = fold(model).predict(IMAGES, verbose=0)
    np.testing.assert_allclose(folded, model.predict(IMAGES, verbose=0), atol=1e-3)
    merged = for_inference(model)
    expected = keras.ops.softmax(model.predict(IMAGES, verbose=0))
    np.testing.assert_allclose(merged.predict(IMAGES, verbose=0), expected, atol=1e-5)


@pytest.fixture(scope="module")
def config():
    return network().get_config()


def test_others_of_a_kind_start_anew():
    model = network(trainable=False)
    assert for_inference(model).trainable and len(for_inference(model).trainable_weights) > 10
    model.quantize("int8")
    target = network()
    with pytest.raises(ValueError, match="predictions/kernel is quantized"):
        copy_weights(model, target, head=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cell_9": {"trainable": False}}, "there is no such layer"),
        ({"cell_0": {"trainable": 0}}, "must be true or false"),
        ({"cell_0": {"units": 3}}, "may hold"),
        ({"cell_0": 3}, "may hold"),
        ([], "must be a table"),
        ({"predictions": {"dtype": "float3"}}, "must be a dtype policy"),
        ({"predictions": {"dtype": {"class_name": "Dense", "config": {"units": 2}}}}, "must be a dtype policy"),
        ({"predictions": {"lora_rank": -1}}, "must be a number above 0"),
        (
            {"predictions": {"dtype": "int8_from_float32", "quantization_config": {"class_name": "Dense"}}},
            "nothing but what keras.quantizers has",
        ),
    ],
)
def test_settings_from_outside_are_checked(config, settings, message):
    with pytest.raises(ValueError, match=message):
        NASNet.from_config(config | {"inner_layers": settings})


def test_names_of_layers_are_those_of_the_network():
    model = NASNet(NASNET_A, num_blocks=1, penultimate_filters=48, stem="cifar", classes=3)
    freeze_batch_norm(model)
    names = model.get_config()["inner_layers"]
    assert {"stem_batch_norm", "cell_0/fit_0/batch_norm", "reduction_1/block_2_right/batch_norm_2"} <= names.keys()
    assert len(names) == sum(isinstance(layer, BatchNormalization) for layer in all_layers(model))

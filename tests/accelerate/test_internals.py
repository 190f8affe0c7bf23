"""Private names of Keras and TensorFlow: each does what is relied on, and none is used that is not listed."""

import ast
import os
import sys
import types

import keras
import numpy as np
import pytest

from keras_nasnet import NASNet
from keras_nasnet.accelerate import averages, backends, contents, graphs, random_values, replicas, tracing, weightless
from keras_nasnet.accelerate.internals import INTERNALS
from keras_nasnet.accelerate.quick_layer import QuickLayer
from keras_nasnet.accelerate.quiet import quiet
from keras_nasnet.layers.batch_norm import BatchNormalization
from tests.support import ROOT
from tests.support.toy import NETWORK

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="some names are TensorFlow's")

CHECKS = {}


def checks(*names):
    """Registers a function as the check of some names of the list."""

    def register(function):
        CHECKS.update(dict.fromkeys(names, function))
        return function

    return register


@pytest.fixture(scope="module")
def model():
    return NASNet(**NETWORK, stem="cifar", classes=3, drop_path_rate=0.1)


@checks("keras.Layer._flatten_layers")
def layers_within_layers(model, monkeypatch):
    found = contents.all_layers(model)
    kinds = {type(layer).__name__ for layer in found}
    assert {"NASNet", "Cell", "Convolution", "SeparableConv2D", "DropPath"} <= kinds
    assert len(found) > len(model.layers) + 1
    monkeypatch.delattr(keras.Layer, "_flatten_layers")
    assert {id(layer) for layer in contents.all_layers(model)} == {id(layer) for layer in found}


@checks("keras.Layer._seed_generators")
def generators_of_seeds(model, monkeypatch):
    drop = keras.layers.Dropout(0.5)
    found = contents.seed_generators(drop)
    assert found == [drop.seed_generator]
    hidden = types.SimpleNamespace(seed_generator=drop.seed_generator, more=[keras.layers.Dropout(0.5)], rate=0.5)
    assert contents.seed_generators(hidden) == found  # as if the name were gone


@checks("keras.SeedGenerator.next (replaced)")
def next_seed_is_asked_of_the_instance(model, monkeypatch):
    layer = keras.layers.Dropout(0.5, seed=1)
    asked = []
    layer.seed_generator.next = lambda ordered=True: asked.append(ordered) or tf.constant([1, 2], "uint32")
    layer(np.ones((1, 4), "float32"), training=True)
    assert asked


@checks("keras.BatchNormalization._moments (overridden)", "keras.BatchNormalization._reduction_axes")
def moments_are_asked_of_the_method(model, monkeypatch):
    monkeypatch.setattr(replicas, "replicas", lambda: 2)
    seen = []

    def moments(inputs, axes, synchronized):
        seen.append((list(axes), synchronized))
        return tf.zeros(inputs.shape[-1]), tf.ones(inputs.shape[-1])

    monkeypatch.setattr(replicas.ops, "moments", moments)
    inputs = np.random.default_rng(0).normal(3, 2, (4, 6)).astype("float32")
    outputs = BatchNormalization(epsilon=0.0)(inputs, training=True)
    assert seen == [([0], True)]
    np.testing.assert_allclose(outputs, inputs, rtol=1e-5)  # normalized with what the method returned


@checks("tf.Variable._aggregation")
def aggregation_is_an_attribute(model, monkeypatch):
    variable = keras.Variable(1.0)
    replicas.update_on_first_replica(variable)
    assert variable.value.aggregation is tf.VariableAggregation.ONLY_FIRST_REPLICA


@checks("tf.distribute.StrategyExtended._num_workers")
def workers_of_a_strategy(model, monkeypatch):
    strategy = tf.distribute.MultiWorkerMirroredStrategy()  # of this process alone
    assert strategy.extended._num_workers in (0, 1)
    assert replicas.workers(strategy) == replicas.workers(tf.distribute.get_strategy()) == 1
    assert replicas.workers(types.SimpleNamespace(extended=types.SimpleNamespace(_num_workers=3))) == 3


@checks("keras.optimizers.Optimizer._trainable_variables", "keras.optimizers.Optimizer._model_variables_moving_average")
def averages_of_weights(model, monkeypatch):
    weight = keras.Variable([1.0, 2.0], name="weight")
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.5)
    optimizer.build([weight])
    for _ in range(2):
        optimizer.apply([tf.constant([1.0, 1.0])])
    [(found, average)] = averages.weights_and_averages(optimizer)
    assert found is weight
    np.testing.assert_allclose(average, [0.25, 1.25])  # the mean of 0.5 and 0, and of 1.5 and 1


@checks("keras.src.utils.module_utils.tensorflow._available")
def no_search(model, monkeypatch):
    module = keras.src.utils.module_utils.tensorflow
    before = module.available
    monkeypatch.delitem(sys.modules, "tensorflow")
    with backends.no_search_for_tensorflow():
        assert not module.available
    assert module.available == before
    monkeypatch.delattr(keras.src.utils.module_utils, "tensorflow")
    with backends.no_search_for_tensorflow():  # no harm where the name is gone
        pass


@checks("keras.src.backend.common.global_state")
def nothing_to_be_given_values_later(model, monkeypatch):
    state = keras.src.backend.common.global_state

    def waiting():
        return list(state.get_global_attribute("uninitialized_variables") or [])

    before = waiting()
    with weightless.weightless():
        layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(seed=1))
        layer.build((None, 3))
        assert len(waiting()) == 2
        first, second = (keras.ops.convert_to_numpy(layer.kernel.value) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert waiting() == before
    monkeypatch.delattr(keras.src.backend.common, "global_state")
    with weightless.weightless():  # values are still drawn when they are read
        layer = keras.layers.Dense(2, kernel_initializer=keras.initializers.RandomNormal(seed=1))
        layer.build((None, 3))
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer.kernel.value), first)
    monkeypatch.undo()
    state.set_global_attribute("uninitialized_variables", before)


@checks(
    "keras.initializers.VarianceScaling.__call__ (replaced)",
    "keras.Variable._initialize_with_initializer (replaced)",
)
def no_random_values(model, monkeypatch):
    asked = []
    initialize = keras.Variable._initialize_with_initializer

    def counting(variable, initializer):
        asked.append(variable)
        initialize(variable, initializer)

    monkeypatch.setattr(keras.Variable, "_initialize_with_initializer", counting)
    for gone in (False, True):
        if gone:
            monkeypatch.undo()
            monkeypatch.setattr(random_values, "_INITIALIZE", "_gone")
        with random_values.without_random_values():
            layer = keras.layers.Conv2D(2, 3)  # whose kernels are Glorot's
            layer.build((None, 8, 8, 3))
        assert not np.any(keras.ops.convert_to_numpy(layer.kernel))
    assert len(asked) == 2
    other = keras.layers.Conv2D(2, 3)
    other.build((None, 8, 8, 3))
    assert np.any(keras.ops.convert_to_numpy(other.kernel))


@checks("keras.Layer.__setattr__ (passed over)")
def plain_attributes(model, monkeypatch):
    class Quick(QuickLayer, keras.layers.Dense):
        pass

    quick, plain = Quick(2, name="dense"), keras.layers.Dense(2, name="dense")
    for layer in (quick, plain):
        layer.number, layer.text, layer.nothing = 1, "one", None
        layer.build((None, 3))
    assert vars(quick).keys() == vars(plain).keys()
    for name, value in vars(plain).items():
        if type(value) in (type(None), bool, int, float, str):
            assert vars(quick)[name] == value, name
    assert [weight.path for weight in quick.weights] == [weight.path for weight in plain.weights]
    other = Quick(2)
    other.inner = None
    other.inner = keras.layers.Dense(1)  # what was plain may become a layer, and is tracked then
    assert other.inner in contents.all_layers(other)


@checks("tensorflow.python.eager.record")
def gradients_of_ones_own(model, monkeypatch):
    def derivatives(x):
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as inner:
                inner.watch(x)
                y = tracing.with_gradient(x * x, lambda upstream: [upstream * 3.0 * x * x], x)
                loss = tf.reduce_sum(y)
            first = inner.gradient(loss, x)
        return y, first, outer.gradient(first, x)

    x = tf.constant([1.0, 2.0])
    expected = [[1.0, 4.0], [3.0, 12.0], [6.0, 12.0]]
    for gone in (False, True):
        if gone:
            monkeypatch.delitem(sys.modules, "tensorflow.python.eager.record")
        for compute in (derivatives, tf.function(derivatives, autograph=False)):
            np.testing.assert_allclose(np.stack(compute(x)), expected)


@checks("tf.ConcreteFunction._call_flat")
def calls_of_pruned_graphs(model, monkeypatch):
    whole = tf.compat.v1.wrap_function(lambda a, b: (a - b) * 2.0, [tf.TensorSpec([2])] * 2)
    middle = whole.outputs[0].op.inputs[0]
    graph = whole.prune(whole.inputs, [whole.outputs[0], middle])
    inputs = [tf.constant([3.0, 5.0]), tf.constant([1.0, 1.0])]
    public = types.SimpleNamespace  # a graph without the name
    for called in (graph, type("Public", (public,), {"__call__": lambda self, *given: graph(*given)})()):
        np.testing.assert_allclose(graphs.call_graph(called, inputs), [[4.0, 8.0], [2.0, 4.0]])


@pytest.mark.parametrize("name", [internal.name for internal in INTERNALS])
def test_is_there_and_does_what_is_relied_on(name, model, monkeypatch):
    CHECKS[name](model, monkeypatch)


def test_the_list_names_the_modules_that_use_the_names():
    folder = ROOT / "keras_nasnet" / "accelerate"
    for internal in INTERNALS:
        text = (folder / f"{internal.module}.py").read_text(encoding="utf-8")
        last = internal.name.split(" ")[0].rpartition(".")[2]
        assert last in text, f"{internal.name} is not used in accelerate/{internal.module}.py"
        assert internal.why and internal.without


# === Nothing Else ===

OURS = {"_asdict", "_exit", "_fields", "_replace"}  # Python's own, documented
FOLDERS = ("keras_nasnet", "search", "zoo")


def private_names(tree):
    """Yields (line, name) of private attributes of other things than `self`, and of modules that are not public."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if node.attr == "src" or (node.attr.startswith("_") and not node.attr.startswith("__") and not of_self):
                yield node.lineno, node.attr
        elif isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for module in modules:
                if module.startswith(("keras.src", "tensorflow.python")):
                    yield node.lineno, module
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
            name = node.args[1]
            of_self = isinstance(node.args[0], ast.Name) and node.args[0].id == "self"
            if isinstance(name, ast.Constant) and str(name.value).startswith("_") and not of_self:
                yield node.lineno, name.value


def test_no_other_private_names_are_used():
    trees = {
        path: ast.parse(path.read_text(encoding="utf-8")) for name in FOLDERS for path in (ROOT / name).rglob("*.py")
    }
    # What our own classes and functions define is ours to read.
    own = set(OURS)
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                own.add(node.name)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                own.update([node.attr] if isinstance(node.value, ast.Name) and node.value.id == "self" else [])
    listed = {internal.name.split(" ")[0].rpartition(".")[2] for internal in INTERNALS}
    for path, tree in trees.items():
        inside = path.parent.name == "accelerate"
        for line, name in private_names(tree):
            if name in own - listed:
                continue
            where = f"{path.relative_to(ROOT)}:{line} uses {name}"
            assert inside, f"{where}: move that to keras_nasnet/accelerate, and list it in internals.py"
            known = name in listed or name == "src" or name.startswith("_keras_nasnet")
            assert known, f"{where}, which is not in internals.py"


@pytest.mark.parametrize("stream", ["python", "descriptor"])
def test_quiet_drops_what_is_written_to_stderr_until_it_ends(stream, capfd):
    def write(text):
        if stream == "python":
            print(text, file=sys.stderr, flush=True)
        else:
            os.write(2, f"{text}\n".encode())

    with pytest.raises(ValueError, match="raised"), quiet():
        write("dropped")
        raise ValueError("raised anyway")
    write("kept")
    assert capfd.readouterr().err == "kept\n"

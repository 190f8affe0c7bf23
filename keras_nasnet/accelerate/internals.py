"""Every name of Keras or TensorFlow that this package uses although it is not public, in one list.

Such names may go, or change, with any release. Only modules of this package (`keras_nasnet.accelerate`) use them, each
has a test of its own (`tests/accelerate/test_internals.py`), and where there is a public way to the same it is taken as
soon as the name is gone. The tests also search the whole code for private names that are not listed here.
"""

from typing import NamedTuple


class Internal(NamedTuple):
    """A name that is not public, or a public one that is used in a way that is not promised.

    Args:
        name: as one would write it.
        module: of `keras_nasnet.accelerate`, that uses it.
        why: what it is used for.
        without: what happens when it is gone.
    """

    name: str
    module: str
    why: str
    without: str


INTERNALS = (
    Internal(
        "keras.Layer._flatten_layers",
        "contents",
        "lists the layers within layers: `Model.layers` lists the outermost alone",
        "the attributes of the layers are searched",
    ),
    Internal(
        "keras.Layer._seed_generators",
        "contents",
        "lists a layer's own generators of random seeds",
        "the attributes of the layer are searched",
    ),
    Internal(
        "keras.SeedGenerator.next (replaced)",
        "replicas",
        "adds the replica's number to each seed",
        "all replicas draw the same masks and crops; the test of it fails",
    ),
    Internal(
        "keras.BatchNormalization._moments (overridden)",
        "replicas",
        "takes the moments of all replicas' examples where the fused kernel cannot compute",
        "each replica uses the moments of its own examples; the test of it fails",
    ),
    Internal(
        "keras.BatchNormalization._reduction_axes",
        "replicas",
        "the axes of these moments",
        "AttributeError in training with several replicas",
    ),
    Internal(
        "tf.Variable._aggregation",
        "replicas",
        "says who updates the one copy of a state under CentralStorageStrategy: Keras makes the variable without it",
        "that strategy raises ValueError at the first update",
    ),
    Internal(
        "tf.distribute.StrategyExtended._num_workers",
        "replicas",
        "number of processes that a strategy spans",
        "a strategy is taken for one of a single process",
    ),
    Internal(
        "keras.optimizers.Optimizer._trainable_variables",
        "averages",
        "the weights of which an optimizer keeps moving averages",
        "AttributeError in the evaluation of moving averages",
    ),
    Internal(
        "keras.optimizers.Optimizer._model_variables_moving_average",
        "averages",
        "these averages; `keras.callbacks.SwapEMAWeights` takes them this way too",
        "AttributeError in the evaluation of moving averages",
    ),
    Internal(
        "keras.src.utils.module_utils.tensorflow._available",
        "backends",
        "keeps Keras from importing TensorFlow only to see that a model of JAX has nothing of it",
        "nothing is kept from anything: the start of a training on JAX or PyTorch takes seconds longer",
    ),
    Internal(
        "keras.src.backend.common.global_state",
        "weightless",
        "with `get_global_attribute` and `set_global_attribute`: the list 'uninitialized_variables'",
        "the weights of such layers get values later, and memory",
    ),
    Internal(
        "keras.initializers.VarianceScaling.__call__ (replaced)",
        "random_values",
        "makes kernels start at zero where they are read from a file next",
        "AttributeError: __call__ is Python's own name and stays",
    ),
    Internal(
        "keras.Variable._initialize_with_initializer (replaced)",
        "random_values",
        "makes TensorFlow prepare one operation for all variables of a shape",
        "models whose weights are read next take longer to make",
    ),
    Internal(
        "keras.Layer.__setattr__ (passed over)",
        "quick_layer",
        "sets plain values without Keras' search for variables and layers in them",
        "nothing: Python's own way to set an attribute stays",
    ),
    Internal(
        "tensorflow.python.eager.record",
        "tracing",
        "with `stop_recording` and `record_operation`: the tape's own way to take note of an operation",
        "`tf.custom_gradient`, with more operations in each graph",
    ),
    Internal(
        "tf.ConcreteFunction._call_flat",
        "graphs",
        "calls a graph without binding its inputs to names first",
        "the graph is called the public way, which takes longer",
    ),
)

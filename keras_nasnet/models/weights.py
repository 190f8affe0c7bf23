"""A network's weights: copied into another, and written with it."""

import keras

from keras_nasnet.common.files import StrPath, replacing
from keras_nasnet.models.classifier import NASNet


def is_head(variable: keras.Variable) -> bool:
    """Whether a variable belongs to a classifier."""
    return "predictions/" in variable.path


def copy_weights(source: keras.Model, target: keras.Model, head: bool = False) -> None:
    """Copies weights by their paths; all but the auxiliary head's and, unless `head`, the classifier's.

    Raises:
        ValueError: if a weight of the target has no equal in the source; nothing is copied then.
    """
    known = {variable.path: variable for variable in source.weights}
    pairs = []
    for variable in target.weights:
        if variable.path.startswith("auxiliary_") or (not head and is_head(variable)):
            continue
        found = known.get(variable.path)
        if found is None or found.shape != variable.shape:
            shape = "nothing" if found is None else tuple(found.shape)
            raise ValueError(f"the weights do not fit: {variable.path} is {tuple(variable.shape)}, they have {shape}")
        pairs.append((variable, found))
    for variable, found in pairs:
        variable.assign(found)


def for_inference(network: NASNet) -> NASNet:
    """Returns the network as its users want it: probabilities, no auxiliary head, float32, the same weights."""
    options = {"classifier_activation": "softmax", "auxiliary_head": False, "dtype": "float32"}
    kept = NASNet(**(network.get_config() | options))
    copy_weights(network, kept, head=True)
    return kept


def save_model(model: keras.Model, path: StrPath) -> None:
    """Writes a `.keras` file, which appears when it is whole."""
    with replacing(path) as temporary:
        model.save(temporary)

"""A network's weights: copied into another, and written with it."""

from typing import Any

import keras

from keras_nasnet.accelerate.contents import all_layers
from keras_nasnet.common.files import StrPath, check_room, replacing
from keras_nasnet.models.classifier import NASNet


def is_head(variable: keras.Variable) -> bool:
    """Return whether a variable belongs to a classifier."""
    return "predictions/" in variable.path


def copy_weights(source: keras.Model, target: keras.Model, head: bool = False) -> None:
    """Copy a network's weights into another, all but those of the auxiliary head.

    Args:
        source: whose weights are copied, each by its path.
        target: that gets them.
        head: whether the classifier's are copied too.

    Of layers with LoRA their kernels with it are copied.

    Raises:
        ValueError: if a weight of the target has no equal in the source, or the source's is quantized; nothing is
            copied then.

    Example:
        >>> options = {"num_blocks": 1, "penultimate_filters": 48, "stem": "cifar"}
        >>> old, new = NASNet(classes=10, **options), NASNet(classes=3, **options)
        >>> copy_weights(old, new)
        >>> bool(np.all(old.get_layer("stem_convolution").kernel == new.get_layer("stem_convolution").kernel))
        True
    """
    known: dict[str, Any] = {variable.path: variable for variable in source.weights}
    for layer in all_layers(source):
        if getattr(layer, "lora_enabled", False):
            known[f"{layer.path}/kernel"] = layer.kernel
    pairs = []
    for variable in target.weights:
        if variable.path.startswith("auxiliary_") or (not head and is_head(variable)):
            continue
        found = known.get(variable.path)
        if found is None or found.shape != variable.shape:
            shape = "nothing" if found is None else tuple(found.shape)
            raise ValueError(f"the weights do not fit: {variable.path} is {tuple(variable.shape)}, they have {shape}")
        if keras.backend.is_int_dtype(found.dtype) and not keras.backend.is_int_dtype(variable.dtype):
            raise ValueError(f"the weights do not fit: {variable.path} is quantized: copy before `quantize`")
        pairs.append((variable, found))
    for variable, found in pairs:
        variable.assign(found)


def for_inference(network: NASNet) -> NASNet:
    """Return a network of the same weights as its users want it: probabilities, no auxiliary head, float32.

    Args:
        network: trained, say with logits and an auxiliary head.

    Example:
        >>> trained = NASNet(num_blocks=1, penultimate_filters=48, stem="cifar", classes=3, classifier_activation=None)
        >>> float(np.sum(for_inference(trained)(np.zeros((1, 32, 32, 3)))).round(3))
        1.0
    """
    options = {"classifier_activation": "softmax", "auxiliary_head": False, "dtype": "float32"}
    kept = NASNet(**(network.arguments() | options))
    copy_weights(network, kept, head=True)
    return kept


def save_model(model: keras.Model, path: StrPath) -> None:
    """Write a `.keras` file, which appears when it is whole.

    Args:
        model: any Keras model.
        path: of the file, which ends in ".keras".

    Raises:
        OSError: if it cannot be written; a file that was there stays as it was.

    Example:
        >>> save_model(NASNet(num_blocks=1, penultimate_filters=48, stem="cifar", classes=3), "small.keras")
        >>> keras.saving.load_model("small.keras").name
        'nasnet'
    """
    with replacing(path) as temporary:
        # Where there is no room, zip and HDF5 say something else, or crash.
        check_room(temporary.parent, model.count_params())
        try:
            model.save(temporary)
        except Exception:
            check_room(temporary.parent, 4 * model.count_params())
            raise

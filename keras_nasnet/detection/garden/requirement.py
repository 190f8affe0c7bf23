"""What the detection package needs installed: the TensorFlow Model Garden, and Keras on TensorFlow."""

import importlib.util


def require() -> None:
    """Checks that the Model Garden can be used, before anything imports it.

    Raises:
        ValueError: if `tf-models-official` is not installed, or Keras runs on another backend.
    """
    if importlib.util.find_spec("official") is None or importlib.util.find_spec("tf_keras") is None:
        raise ValueError("detection needs the TensorFlow Model Garden: pip install 'keras-nasnet[detection]'")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"detection runs on TensorFlow, and Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )

"""The detector that runs on the TensorFlow Model Garden's Faster R-CNN.

Importing this without the extra `[detection]`, or with Keras on another backend, is a ValueError that says what to do.
"""

import importlib.util


def _require() -> None:
    if importlib.util.find_spec("official") is None or importlib.util.find_spec("tf_keras") is None:
        raise ValueError("detection needs the TensorFlow Model Garden: pip install 'keras-nasnet[detection]'")
    import keras

    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"detection runs on TensorFlow, and Keras runs on {keras.backend.backend()}: set KERAS_BACKEND=tensorflow"
        )


_require()

"""Downloads public weights into Keras' cache, checked."""

import os

import keras

# The checkpoints of keras.applications and their MD5, by model and whether the top is in.
_ORIGIN = "https://storage.googleapis.com/tensorflow/keras-applications/nasnet/"
_FILES = {
    ("mobile", True): ("NASNet-mobile.h5", "020fb642bf7360b370c678b08e0adf61"),
    ("mobile", False): ("NASNet-mobile-no-top.h5", "1ed92395b5b598bdda52abe5c0dbfd63"),
    ("large", True): ("NASNet-large.h5", "11577c9a518f0070763c2b964a382f17"),
    ("large", False): ("NASNet-large-no-top.h5", "d81d89dc07e6e56530c4e77faddd61b5"),
}


def keras_application(model: str, include_top: bool) -> str:
    """Returns the path of a weights file of `keras.applications`, downloaded if it is not there.

    Args:
        model: "mobile" or "large".
        include_top: whether the file has the classifier.

    Raises:
        ValueError: if the file cannot be had or its checksum is wrong.
    """
    name, md5 = _FILES[model, include_top]
    try:
        return keras.utils.get_file(
            name,
            _ORIGIN + name,
            file_hash=md5,
            cache_subdir="models/keras_nasnet",
            cache_dir=os.environ.get("KERAS_HOME"),  # default: ~/.keras
        )
    except Exception as error:  # get_file raises bare Exceptions
        raise ValueError(
            f"{name} cannot be downloaded ({' '.join(str(error).split())}): without a network, use "
            "keras_nasnet.load('nasnet_a_cifar10') or the path of a file as `weights`"
        ) from None

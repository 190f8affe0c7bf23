"""Where trained NASNets live: a catalog, their weights, and converters from other code.

>>> from keras_nasnet import zoo
>>> zoo.list("*mobile*", task="classification")
>>> zoo.info("nasnet_a_mobile_keras")["published"]
>>> model = zoo.load("nasnet_a_mobile_keras")
>>> zoo.path("nasnet_a_mobile_keras")
>>> zoo.verify("nasnet_a_mobile_keras")

`KERAS_HOME`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `KERAS_NASNET_MIRROR` and
`KERAS_NASNET_CATALOG` are explained in `keras_nasnet.zoo.sources.fetch` and `keras_nasnet.zoo.catalog.entries`.
"""

from keras_nasnet.zoo.catalog.entries import entry as info
from keras_nasnet.zoo.catalog.entries import find as list
from keras_nasnet.zoo.evaluation import evaluate
from keras_nasnet.zoo.loading import load
from keras_nasnet.zoo.publishing import publish
from keras_nasnet.zoo.sources.fetch import path, verify

__all__ = ["evaluate", "info", "list", "load", "path", "publish", "verify"]

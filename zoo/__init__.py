"""Where trained NASNets live: a catalog, their weights, and the formats that weights come and go in.

>>> from keras_nasnet import zoo
>>> zoo.list("*mobile*", task="classification")
>>> zoo.info("nasnet_a_mobile_keras").published
>>> model = zoo.load("nasnet_a_mobile_keras")
>>> zoo.path("nasnet_a_mobile_keras")
>>> zoo.verify("nasnet_a_mobile_keras")

`KERAS_HOME`, `HF_HOME`, `HF_HUB_OFFLINE`, `HF_ENDPOINT`, `KERAS_NASNET_MIRROR` and
`KERAS_NASNET_CATALOG` are explained in `keras_nasnet.zoo.files` and `keras_nasnet.zoo.catalog.entries`.
"""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.zoo.catalog import entries
    from keras_nasnet.zoo.catalog.entry import Entry as Entry
    from keras_nasnet.zoo.catalog.entry import Source as Source
    from keras_nasnet.zoo.evaluation import ClassificationMetrics as ClassificationMetrics
    from keras_nasnet.zoo.evaluation import evaluate as evaluate
    from keras_nasnet.zoo.files import path as path
    from keras_nasnet.zoo.files import verify as verify
    from keras_nasnet.zoo.formats.registry import WEIGHT_FORMATS as WEIGHT_FORMATS
    from keras_nasnet.zoo.formats.registry import load_weights as load_weights
    from keras_nasnet.zoo.formats.registry import save_weights as save_weights
    from keras_nasnet.zoo.formats.weight_format import WeightFormat as WeightFormat
    from keras_nasnet.zoo.loading import load as load
    from keras_nasnet.zoo.publishing import publish as publish

    info = entries.entry
    list = entries.find

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "ClassificationMetrics": "evaluation",
        "Entry": "catalog.entry",
        "Source": "catalog.entry",
        "WEIGHT_FORMATS": "formats.registry",
        "WeightFormat": "formats.weight_format",
        "evaluate": "evaluation",
        "info": "catalog.entries:entry",
        "list": "catalog.entries:find",
        "load": "loading",
        "load_weights": "formats.registry",
        "path": "files",
        "publish": "publishing",
        "save_weights": "formats.registry",
        "verify": "files",
    },
)

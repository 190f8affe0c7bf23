"""Models: the classifier, the backbone, the networks of the paper, and their cost.

The names below load when they are first used.
"""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.models.backbone import NASNetBackbone as NASNetBackbone
    from keras_nasnet.models.classifier import NASNet as NASNet
    from keras_nasnet.models.complexity import mult_adds as mult_adds
    from keras_nasnet.models.named import variant as variant
    from keras_nasnet.models.named import variants as variants
    from keras_nasnet.models.weights import copy_weights as copy_weights
    from keras_nasnet.models.weights import for_inference as for_inference
    from keras_nasnet.models.weights import save_model as save_model

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "NASNet": "classifier",
        "NASNetBackbone": "backbone",
        "copy_weights": "weights",
        "for_inference": "weights",
        "mult_adds": "complexity",
        "save_model": "weights",
        "variant": "named",
        "variants": "named",
    },
)

"""Inference: folded networks, exports to other runtimes, and the engines that compute predictions."""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.inference.classification import Prediction as Prediction
    from keras_nasnet.inference.classification import classify as classify
    from keras_nasnet.inference.comparison import Comparison as Comparison
    from keras_nasnet.inference.engines.compiled import CompiledEngine as CompiledEngine
    from keras_nasnet.inference.engines.engine import Engine as Engine
    from keras_nasnet.inference.engines.registry import ENGINES as ENGINES
    from keras_nasnet.inference.engines.registry import installed_engines as installed_engines
    from keras_nasnet.inference.exporting import export as export
    from keras_nasnet.inference.folding import FoldedNASNet as FoldedNASNet
    from keras_nasnet.inference.folding import fold as fold
    from keras_nasnet.inference.formats.format import Format as Format
    from keras_nasnet.inference.formats.format import Signature as Signature
    from keras_nasnet.inference.formats.registry import FORMATS as FORMATS
    from keras_nasnet.inference.opening import Predictor as Predictor

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "ENGINES": "engines.registry",
        "FORMATS": "formats.registry",
        "Comparison": "comparison",
        "CompiledEngine": "engines.compiled",
        "Engine": "engines.engine",
        "FoldedNASNet": "folding",
        "Format": "formats.format",
        "Prediction": "classification",
        "Predictor": "opening",
        "Signature": "formats.format",
        "classify": "classification",
        "export": "exporting",
        "fold": "folding",
        "installed_engines": "engines.registry",
    },
)

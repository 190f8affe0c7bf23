"""Detection: NASNet under the Model Garden's Faster R-CNN. Needs the extra `[detection]`.

Nothing else in the package imports this, and importing it imports nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_nasnet.detection.evaluation import evaluate as evaluate
    from keras_nasnet.detection.exporting import export as export
    from keras_nasnet.detection.model import FasterRCNN as FasterRCNN
    from keras_nasnet.detection.pretrained import network as network
    from keras_nasnet.detection.pretrained import write_checkpoint as write_checkpoint
    from keras_nasnet.detection.publishing import prepare as prepare
    from keras_nasnet.detection.training import train as train

_MODULES = {
    "FasterRCNN": "model",
    "evaluate": "evaluation",
    "export": "exporting",
    "network": "pretrained",
    "prepare": "publishing",
    "train": "training",
    "write_checkpoint": "pretrained",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from keras_nasnet.detection.garden import require

        require()
        return getattr(importlib.import_module(f"keras_nasnet.detection.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_nasnet.detection' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

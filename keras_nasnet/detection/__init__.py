"""Detection: NASNet under the Model Garden's Faster R-CNN. Needs the extra `[detection]`.

Nothing else in the package imports this, and importing it imports nothing else.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from keras_nasnet.detection.garden.evaluation import evaluate as evaluate
    from keras_nasnet.detection.garden.exporting import export as export
    from keras_nasnet.detection.garden.model import FasterRCNN as FasterRCNN
    from keras_nasnet.detection.garden.pretrained import network as network
    from keras_nasnet.detection.garden.pretrained import write_checkpoint as write_checkpoint
    from keras_nasnet.detection.garden.training import train as train
    from keras_nasnet.detection.publishing import prepare as prepare

_MODULES = {
    "FasterRCNN": "garden.model",
    "evaluate": "garden.evaluation",
    "export": "garden.exporting",
    "network": "garden.pretrained",
    "prepare": "publishing",
    "train": "garden.training",
    "write_checkpoint": "garden.pretrained",
}
__all__ = sorted(_MODULES)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from keras_nasnet.detection.garden.requirement import require

        require()
        return getattr(importlib.import_module(f"keras_nasnet.detection.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'keras_nasnet.detection' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])

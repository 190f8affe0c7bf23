"""Detection: NASNet under the Model Garden's Faster R-CNN. Needs the extra `[detection]`.

Nothing else in the package imports this, and importing it imports nothing else.
"""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face
from keras_nasnet.detection.garden.requirement import require

if TYPE_CHECKING:
    from keras_nasnet.detection.garden.evaluation import evaluate as evaluate
    from keras_nasnet.detection.garden.exporting import export as export
    from keras_nasnet.detection.garden.model import FasterRCNN as FasterRCNN
    from keras_nasnet.detection.garden.pretrained import network as network
    from keras_nasnet.detection.garden.pretrained import write_checkpoint as write_checkpoint
    from keras_nasnet.detection.garden.training import train as train
    from keras_nasnet.detection.publishing import prepare as prepare

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "FasterRCNN": "garden.model",
        "evaluate": "garden.evaluation",
        "export": "garden.exporting",
        "network": "garden.pretrained",
        "prepare": "publishing",
        "train": "garden.training",
        "write_checkpoint": "garden.pretrained",
    },
    before=require,
)

"""How the zoo publishes the folder of a detector. Imports nothing of the Model Garden before it is needed."""

import os
from typing import TYPE_CHECKING

from keras_nasnet import detection
from keras_nasnet.zoo.card import Origin
from keras_nasnet.zoo.publishing import LICENCE, Publisher, Target

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet


class DetectorPublisher(Publisher):
    """Publishes a detector with its SavedModel; with `backbone`, the network in it."""

    def check(self, source: str | os.PathLike[str]) -> None:
        """Leave it to `prepare` to say what is wrong with the folder."""

    def prepare(self, source: str | os.PathLike[str], target: Target) -> None:
        """Write the folder that is uploaded."""
        if target.backbone:
            super().prepare(source, target)
        else:
            licence = target.licence or LICENCE
            detection.prepare(source, target.repo, target.folder, target.revision, licence)

    def network(self, source: str | os.PathLike[str], backbone: bool) -> "NASNet":
        """Return the detector's backbone, which has no classifier anyway."""
        return detection.network(source)

    def origin(self, source: str | os.PathLike[str], licence: str | None) -> Origin:
        """Return what is known of the backbone."""
        return Origin("The backbone of a detector", licence or LICENCE)

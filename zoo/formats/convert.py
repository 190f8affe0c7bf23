"""Public weights into a `NASNet`, from keras.applications, TF-slim and timm; and back to the first and the last.

Each function finds the other code's name of each variable. A file that does not fit the model
changes nothing.
"""

from keras_nasnet.zoo.formats.assign import Report
from keras_nasnet.zoo.formats.keras_h5 import from_keras, to_keras
from keras_nasnet.zoo.formats.slim import from_slim
from keras_nasnet.zoo.formats.slim_archive import from_slim_archive
from keras_nasnet.zoo.formats.timm import from_timm, to_timm

__all__ = ["Report", "from_keras", "from_slim", "from_slim_archive", "from_timm", "to_keras", "to_timm"]

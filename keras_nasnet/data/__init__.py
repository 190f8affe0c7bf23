"""Labelled images to train on: from folders, files, arrays and tensorflow-datasets."""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.data.arrays import ArraySplit as ArraySplit
    from keras_nasnet.data.crop import RandomCrop as RandomCrop
    from keras_nasnet.data.datasets import open_dataset as open_dataset
    from keras_nasnet.data.datasets import write_npz as write_npz
    from keras_nasnet.data.split import Dataset as Dataset
    from keras_nasnet.data.split import Split as Split

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "ArraySplit": "arrays",
        "Dataset": "split",
        "RandomCrop": "crop",
        "Split": "split",
        "open_dataset": "datasets",
        "write_npz": "datasets",
    },
)

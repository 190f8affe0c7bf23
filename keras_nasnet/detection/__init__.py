"""Detection: annotated images, detectors on a NASNet, and what they find.

Reading and writing data, drawing, and the paper's two stages need nothing but the package. What trains and uses a
Faster R-CNN runs on the TensorFlow Model Garden, and needs the extra `[detection]`.
"""

from typing import TYPE_CHECKING

from keras_nasnet.common.faces import lazy_face

if TYPE_CHECKING:
    from keras_nasnet.detection.data.annotations import read_dataset as read_dataset
    from keras_nasnet.detection.data.annotations import read_splits as read_splits
    from keras_nasnet.detection.data.annotations import split_dataset as split_dataset
    from keras_nasnet.detection.data.converting import write_yolo as write_yolo
    from keras_nasnet.detection.data.dataset import AnnotatedImage as AnnotatedImage
    from keras_nasnet.detection.data.dataset import Box as Box
    from keras_nasnet.detection.data.dataset import DetectionDataset as DetectionDataset
    from keras_nasnet.detection.data.dataset import Problem as Problem
    from keras_nasnet.detection.data.orientation import upright as upright
    from keras_nasnet.detection.data.records import Records as Records
    from keras_nasnet.detection.data.records import read_records as read_records
    from keras_nasnet.detection.data.records import write_records as write_records
    from keras_nasnet.detection.detections import Detections as Detections
    from keras_nasnet.detection.drawing import draw as draw
    from keras_nasnet.detection.garden.evaluation import evaluate as evaluate
    from keras_nasnet.detection.garden.exporting import export as export
    from keras_nasnet.detection.garden.model import FasterRCNN as FasterRCNN
    from keras_nasnet.detection.garden.pretrained import network as network
    from keras_nasnet.detection.garden.pretrained import write_checkpoint as write_checkpoint
    from keras_nasnet.detection.garden.publishing import prepare as prepare
    from keras_nasnet.detection.garden.training import train as train
    from keras_nasnet.detection.prediction import FileDetections as FileDetections
    from keras_nasnet.detection.prediction import predict_files as predict_files
    from keras_nasnet.detection.two_stage import crop_proposals as crop_proposals
    from keras_nasnet.detection.two_stage import two_stages as two_stages

__getattr__, __dir__, __all__ = lazy_face(
    __name__,
    {
        "AnnotatedImage": "data.dataset",
        "Box": "data.dataset",
        "DetectionDataset": "data.dataset",
        "Detections": "detections",
        "FasterRCNN": "garden.model",
        "FileDetections": "prediction",
        "Problem": "data.dataset",
        "Records": "data.records",
        "crop_proposals": "two_stage",
        "draw": "drawing",
        "evaluate": "garden.evaluation",
        "export": "garden.exporting",
        "network": "garden.pretrained",
        "predict_files": "prediction",
        "prepare": "garden.publishing",
        "read_dataset": "data.annotations",
        "read_records": "data.records",
        "read_splits": "data.annotations",
        "split_dataset": "data.annotations",
        "train": "garden.training",
        "two_stages": "two_stage",
        "upright": "data.orientation",
        "write_checkpoint": "garden.pretrained",
        "write_records": "data.records",
        "write_yolo": "data.converting",
    },
)

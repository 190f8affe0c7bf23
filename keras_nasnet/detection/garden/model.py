"""FasterRCNN: a trained detector and what it finds on photographs."""

import os
from collections.abc import Iterable
from typing import Any

import tensorflow as tf
from official.vision.serving.detection import DetectionModule

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.images import Preprocessing, as_several
from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.detector_folder import locate, read_class_names
from keras_nasnet.detection.garden import checkpoints
from keras_nasnet.detection.garden.params import read_params

OUTPUTS = ("detection_boxes", "detection_scores", "detection_classes", "num_detections")  # of the network


class FasterRCNN:
    """A Faster R-CNN on a NASNet, for inference.

    Use `FasterRCNN.load`.

    Args:
        model: the Garden's model.
        params: its experiment.
        class_names: of classes 1, 2, ... of the network.

    Attributes:
        class_names: tuple of str.
        size: height and width of the network's input in pixels; images of any size are scaled into it,
            with their aspect kept.

    Example:
        A run's folder is loaded and asked what is on a photograph; here there is no run yet:

        >>> detector = FasterRCNN.load("runs/detect-raccoon")
        Traceback (most recent call last):
        ValueError: runs/detect-raccoon: no such folder
        >>> for found in detector.predict(["photo.jpg"], threshold=0.5):  # doctest: +SKIP
        ...     print(found.labels(), found.boxes)
    """

    def __init__(self, model: Any, params: Any, class_names: tuple[str, ...]):
        self.model = model
        self.params = params
        self.class_names = class_names
        self.size: tuple[int, int] = tuple(params.task.model.input_size[:2])
        # The official serving module: what is exported is the same computation.
        self.module = DetectionModule(
            params=params, batch_size=None, input_image_size=list(self.size), input_type="image_tensor", model=model
        )
        image = tf.TensorSpec([1, None, None, 3], tf.uint8)
        self._prepare = tf.function(self.module.preprocess, input_signature=[image])
        self._detect = tf.function(self._run)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> "FasterRCNN":
        """Load the folder of a run (its newest checkpoint) or of an export, or "hf://ORG/NAME".

        Raises:
            ValueError: if it holds no detector, or a damaged one.
        """
        found = locate(folder)
        params, names = read_params(found), read_class_names(found)
        if len(names) < params.task.model.num_classes - 1:
            count = params.task.model.num_classes - 1
            raise ValueError(f"{found}: {len(names)} class names for the {count} classes of its network")
        try:
            return cls(checkpoints.build(params, found), params, names)
        except ValueError:
            raise
        except Exception as error:  # of settings that do not fit each other Keras raises anything
            text = f"{type(error).__name__}: {one_line(error, 200)}"
            raise ValueError(f"{found}: its network cannot be built ({text})") from None

    def predict(self, images: Iterable[Any], threshold: float = 0.0) -> list[Detections]:
        """Return what is on each image.

        Args:
            images: paths, PIL images, or arrays of pixels 0..255, of any sizes, as `Preprocessing` takes them. Files
                are turned upright.
            threshold: scores below it are left out. Default: none; the network itself leaves out those below 0.05
                (`task.model.detection_generator.pre_nms_score_threshold`).

        Raises:
            ValueError: if an image cannot be read, or has another shape.
        """
        pixels = [Preprocessing(None, None).fit(image) for image in as_several(images)]
        if not pixels:
            return []
        prepared = [self._prepare(image[None]) for image in pixels]
        inputs, anchors, infos = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *prepared)
        found = {name: value.numpy() for name, value in self._detect(inputs, anchors, infos).items()}
        return [
            Detections.from_garden(
                {name: value[i] for name, value in found.items()},
                infos[i].numpy(),
                (image.shape[0], image.shape[1]),
                self.class_names,
            ).above(threshold)
            for i, image in enumerate(pixels)
        ]

    def _run(self, images: Any, anchors: Any, infos: Any) -> dict[str, Any]:
        outputs = self.model.call(images=images, image_shape=infos[:, 1, :], anchor_boxes=anchors, training=False)
        return {name: outputs[name] for name in OUTPUTS}

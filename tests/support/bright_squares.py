"""A detector without a network: finds a white and a red rectangle, on a small letterboxed copy as the Garden's do."""

import numpy as np
from PIL import Image

from keras_nasnet.detection.detections import Detections

SIDE = 256


class BrightSquares:
    """Stands for anything with `predict`."""

    class_names = ("white", "red")

    def __init__(self):
        self.batches = []

    def predict(self, images):
        self.batches.append(len(images))
        return [self._find(image) for image in images]

    def _find(self, image):
        assert image.dtype == np.uint8
        height, width, _ = image.shape
        factor = min(SIDE / height, SIDE / width)
        scaled = (round(height * factor), round(width * factor))
        small = np.asarray(Image.fromarray(image).resize(scaled[::-1], Image.Resampling.BOX)).astype(int)
        red, green = small[..., 0], small[..., 1]
        masks = [green > 150, (red > 150) & (green < 100)]
        boxes, scores, classes = np.zeros((5, 4), np.float32), np.zeros(5, np.float32), np.zeros(5, np.int32)
        count = 0
        for number, mask in enumerate(masks, 1):
            if mask.any():
                rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
                boxes[count] = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
                scores[count], classes[count] = 1 - 0.3 * number, number
                count += 1
        outputs = {
            "detection_boxes": boxes,
            "detection_scores": scores,
            "detection_classes": classes,
            "num_detections": count,
        }
        info = [(height, width), (SIDE, SIDE), np.divide(scaled, (height, width)), (0, 0)]
        return Detections.from_garden(outputs, info, (height, width), self.class_names)

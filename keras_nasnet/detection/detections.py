"""Detections: what a detector found on one image, in pixels of that image."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Detections:
    """The boxes that a detector found on one image, the most certain first.

    Args:
        boxes: (n, 4): left, top, right, bottom in pixels of the image, of which the upper left corner is (0, 0).
        scores: (n,), 0..1.
        classes: (n,), indices into `class_names`.
        class_names: of all classes that the detector knows.

    Attributes:
        boxes: float32, ordered by score, as are:
        scores: float32.
        classes: int64.
        class_names: tuple of str.

    Raises:
        ValueError: if the shapes do not fit each other, a class has no name, or a number is not finite.

    Example:
        >>> boxes = [[10, 20, 60, 80], [0, 0, 30, 30]]  # left, top, right, bottom
        >>> found = Detections(boxes, scores=[0.4, 0.9], classes=[0, 1], class_names=("cat", "dog"))
        >>> found.labels()
        ['dog 0.90', 'cat 0.40']
        >>> found.above(0.5)
        Detections(1: dog 0.90)
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    class_names: tuple[str, ...]

    def __post_init__(self) -> None:
        boxes = np.asarray(self.boxes, np.float32)
        scores = np.asarray(self.scores, np.float32)
        classes = np.asarray(self.classes, np.int64)
        names = tuple(self.class_names)
        if scores.ndim != 1 or boxes.shape != (len(scores), 4) or classes.shape != scores.shape:
            raise ValueError(
                f"boxes {boxes.shape}, scores {scores.shape} and classes {classes.shape} must be (n, 4), (n,) and (n,)"
            )
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            raise ValueError("boxes or scores are not finite: the network's weights are broken")
        if len(classes) and not (classes.min() >= 0 and classes.max() < len(names)):
            wrong = classes.min() if classes.min() < 0 else classes.max()
            raise ValueError(f"class {wrong} has no name: there are {len(names)} class names")
        order = np.argsort(-scores, kind="stable")
        for name, values in (("boxes", boxes), ("scores", scores), ("classes", classes)):
            values = values[order]
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        object.__setattr__(self, "class_names", names)

    @classmethod
    def from_garden(
        cls, outputs: Mapping[str, Any], image_info: Any, size: tuple[int, int], class_names: Sequence[str]
    ) -> "Detections":
        """Return what the Model Garden's network found on one image.

        Boxes are mapped back to the image and clipped to it; those of which nothing is left are dropped.

        Args:
            outputs: of one image: `detection_boxes` (M, 4): ymin, xmin, ymax, xmax in pixels of the scaled image,
                which lies in the upper left of the network's input; `detection_scores` (M,); `detection_classes`
                (M,), from 1 on, 0 for background; `num_detections`, how many of the M are no padding.
            image_info: (4, 2), vertical before horizontal: size of the image, size asked for, scale, and
                the part of the scaled image that was cut off above and on the left.
            size: height and width of the image in pixels.
            class_names: of classes 1, 2, ... of the network.

        Source: official/vision/ops/preprocess_ops.py, `resize_and_crop_image`; as the official evaluator does it.

        Raises:
            ValueError: if a class has no name, or a number is not finite.
        """
        classes = np.asarray(outputs["detection_classes"]).astype(np.int64)
        # Padding may come in front of the count as well: it is of class 0.
        real = (np.arange(len(classes)) < int(outputs["num_detections"])) & (classes > 0)
        info = np.asarray(image_info, np.float64)
        scale, offset = np.tile(info[2], 2), np.tile(info[3], 2)
        boxes = (np.asarray(outputs["detection_boxes"], np.float64)[real] + offset) / scale
        # NaN stays NaN, and is refused below.
        boxes = np.clip(boxes, 0, np.tile(np.asarray(size, np.float64), 2))[:, [1, 0, 3, 2]].astype(np.float32)
        empty = (boxes[:, 2] <= boxes[:, 0]) | (boxes[:, 3] <= boxes[:, 1])
        scores = np.asarray(outputs["detection_scores"])[real]
        return cls(boxes[~empty], scores[~empty], classes[real][~empty] - 1, tuple(class_names))

    def above(self, threshold: float) -> "Detections":
        """Return those whose score is at least `threshold`."""
        # In float32, as the scores are: a score of 0.9 is not below a threshold of 0.9.
        return self._first(int(np.count_nonzero(self.scores >= np.float32(threshold))))

    def top(self, count: int) -> "Detections":
        """Return the `count` of the highest scores, or all if there are fewer."""
        return self._first(count)

    def to_coco(self, image_id: int, category_ids: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """Return the detections in COCO's result format, as `pycocotools.coco.COCO.loadRes` takes them.

        Args:
            image_id: of the image, as the annotations have it.
            category_ids: of the classes, in the order of `class_names`; default: 1, 2, ...

        Raises:
            ValueError: if there are not as many ids as class names.
        """
        ids = range(1, len(self.class_names) + 1) if category_ids is None else category_ids
        if len(ids) != len(self.class_names):
            raise ValueError(f"{len(ids)} category ids for {len(self.class_names)} classes: give one for each")
        return [
            {
                "image_id": image_id,
                "category_id": int(ids[number]),
                "bbox": [left, top, right - left, bottom - top],
                "score": score,
            }
            for (left, top, right, bottom), score, number in zip(
                self.boxes.tolist(), self.scores.tolist(), self.classes, strict=True
            )
        ]

    def labels(self) -> list[str]:
        """Return "raccoon 0.93" for each detection."""
        return [
            f"{self.class_names[number]} {score:.2f}" for number, score in zip(self.classes, self.scores, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        shown = self.labels()[:3] + ["..."] * (len(self) > 3)
        return f"Detections({len(self)}{': ' if shown else ''}{', '.join(shown)})"

    def _first(self, count: int) -> "Detections":
        return replace(self, boxes=self.boxes[:count], scores=self.scores[:count], classes=self.classes[:count])

"""Accuracy and calibration of probabilities, in memory that does not grow with the images. NumPy only."""

import numpy as np

TOP = 5
CONFIDENCE_BINS = 15


class Scores:
    """Running counts over images, from which accuracies and calibration follow.

    Args:
        classes: number of classes.

    Attributes:
        images: int64 (classes,), images of each class.
        right: int64 (classes,), those of them whose most probable class is right.
    """

    def __init__(self, classes: int):
        self.images = np.zeros(classes, np.int64)
        self.right = np.zeros(classes, np.int64)
        self._right_5 = 0
        # Of each bin of confidence: sums of the confidence, and of what is right.
        self._confidence = np.zeros(CONFIDENCE_BINS)
        self._confirmed = np.zeros(CONFIDENCE_BINS)

    def add(self, probabilities: np.ndarray, labels: np.ndarray) -> None:
        """Count images: probabilities (n, classes) and labels int64 (n,)."""
        of_label = np.take_along_axis(probabilities, labels[:, None], axis=1)
        # Of equal probabilities the first counts as the larger, as argmax has it.
        equal_before = (probabilities == of_label) & (np.arange(len(self.images)) < labels[:, None])
        rank = (probabilities > of_label).sum(1) + equal_before.sum(1)
        np.add.at(self.images, labels, 1)
        np.add.at(self.right, labels[rank == 0], 1)
        self._right_5 += int((rank < TOP).sum())
        confidence = probabilities.max(1).astype(np.float64)
        bins = np.clip(np.ceil(confidence * CONFIDENCE_BINS).astype(np.int64) - 1, 0, CONFIDENCE_BINS - 1)
        np.add.at(self._confidence, bins, confidence)
        np.add.at(self._confirmed, bins, rank == 0)

    @property
    def top1(self) -> float:
        """Share of images whose most probable class is right."""
        return float(self.right.sum() / self.images.sum())

    @property
    def top5(self) -> float | None:
        """Share of images whose five most probable classes contain the right one; None with at most five classes."""
        return None if len(self.images) <= TOP else float(self._right_5 / self.images.sum())

    @property
    def ece(self) -> float:
        """Expected calibration error, as `ClassificationMetrics` says."""
        return float(np.abs(self._confidence - self._confirmed).sum() / self.images.sum())

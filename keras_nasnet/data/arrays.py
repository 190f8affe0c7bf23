"""Images in memory. NumPy only: imports no TensorFlow."""

from collections.abc import Iterable

import numpy as np

from keras_nasnet.common.pixels import batch_from_array
from keras_nasnet.data.split import Batch, Split, epoch_order, eval_positions, train_positions


class ArraySplit:
    """A split of a dataset held in memory.

    Args:
        images: pixels 0..255 of any type of numbers, (n, height, width, 3), grey (n, height, width) or (n, height,
            width, 1), or RGBA (n, height, width, 4); held as uint8 (n, height, width, 3).
        labels: whole numbers (n,) from 0 up, below `classes`.
        classes: number of classes.

    Raises:
        ValueError: if shapes, pixels or labels are not as above.

    Example:
        >>> split = ArraySplit(np.zeros((6, 32, 32, 3), "uint8"), labels=np.arange(6) % 3, classes=3)
        >>> split.class_counts().tolist()
        [2, 2, 2]
        >>> [images.shape for images, labels in split.train_batches(4, epoch=0, seed=0)]
        [(4, 32, 32, 3)]
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, classes: int):
        images = batch_from_array(images)
        if labels.shape != images.shape[:1] or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"labels are {labels.dtype} {labels.shape}: they must be whole numbers ({len(images)},)")
        if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"labels go from {labels.min()} to {labels.max()}: they must be from 0 to {classes - 1}")
        self.images = images
        self.labels = labels.astype(np.int32)
        self.classes = classes
        self.size = len(images)
        self.image_shape = (images.shape[1], images.shape[2], 3)

    def class_counts(self) -> np.ndarray:
        return np.bincount(self.labels, minlength=self.classes)

    def subset(self, indices: np.ndarray) -> "ArraySplit":
        """Return a split of the examples with these indices."""
        return ArraySplit(self.images[indices], self.labels[indices], self.classes)

    def train_batches(
        self, batch: int, epoch: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterable[Batch]:
        ranges = train_positions(self.size, batch, start, shard)
        order = epoch_order(self.size, seed, epoch)
        return (self._take(order[positions.start : positions.stop]) for positions in ranges)

    def eval_batches(self, batch: int, shard: tuple[int, int] = (0, 1)) -> Iterable[Batch]:
        ranges = eval_positions(self.size, batch, shard)
        return (self._take(slice(positions.start, positions.stop)) for positions in ranges)

    def _take(self, which: np.ndarray | slice) -> Batch:
        return self.images[which], self.labels[which]


def into_memory(split: Split, classes: int) -> ArraySplit:
    """Read a whole split into memory, in order; one that is there already is returned as it is."""
    if isinstance(split, ArraySplit):
        return split
    images = np.empty((split.size, *split.image_shape), np.uint8)
    labels = np.empty(split.size, np.int32)
    filled = 0
    for batch_images, batch_labels in split.eval_batches(256):
        images[filled : filled + len(batch_labels)] = batch_images
        labels[filled : filled + len(batch_labels)] = batch_labels
        filled += len(batch_labels)
    return ArraySplit(images, labels, classes)

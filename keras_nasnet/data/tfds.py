"""Sets of tensorflow-datasets, streamed by tf.data. The one kind of data that needs TensorFlow."""

import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

import keras
import numpy as np

from keras_nasnet.data.arrays import ArraySplit
from keras_nasnet.data.crop import RandomCrop
from keras_nasnet.data.split import TFDS, Batch, Dataset, Split, shard_range, train_positions

SHUFFLE_BUFFER = 16384  # examples, still encoded
FILES_AT_ONCE = 16  # fixed: the order of the examples depends on it
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def open_tfds(
    name: str,
    image_size: tuple[int, int] | None,
    held_out: int | None,
    crop: RandomCrop | None,
    data_dir: str | None,
    with_test: bool,
) -> Dataset:
    """Return a prepared image classification set as a dataset; `open_dataset` says what the arguments mean.

    What is held out is the end of the training split in its stored order, which tensorflow-datasets
    shuffles when it prepares a set: always the same images. The only split of a set is taken for the training split,
    whatever its name.

    Raises:
        ValueError: if the set is unknown, not prepared, no image classification, or too small to hold out as many.
    """
    builder = prepared_builder(name, data_dir)
    image_key, label_key = image_and_label_keys(builder, name)
    if image_size is None:
        image_size = builder.info.features[image_key].shape[:2]
        if None in image_size:
            raise ValueError(f"{name}: its images vary in size; give the image size to train at")

    def split(instruction: str) -> TfdsSplit:
        return TfdsSplit(builder, instruction, image_key, label_key, image_size, crop)

    sizes = {key: info.num_examples for key, info in builder.info.splits.items()}
    training = "train" if "train" in sizes or len(sizes) != 1 else next(iter(sizes))
    if training not in sizes:
        raise ValueError(f"{name}: has no split named train, only {', '.join(sizes)}")
    # The test images of ImageNet and some others come without labels.
    wanted = ("validation", "test") if with_test else ("validation",) * (not held_out)
    others = [key for key in wanted if key in sizes and key != training and split(key).has_labels()]
    if held_out is None:
        held_out = 0 if "validation" in others else sizes[training] // 5
    if held_out >= sizes[training]:
        raise ValueError(f"held_out is {held_out}: {name} has only {sizes[training]} training images")
    names = class_names(builder, label_key)
    train = split(f"{training}[:{sizes[training] - held_out}]")
    if held_out:
        validation: Split = split(f"{training}[{sizes[training] - held_out}:]")
    elif "validation" in others:
        validation = split(others.pop(0))
    else:
        validation = ArraySplit(np.empty((0, *train.image_shape), np.uint8), np.empty(0, np.int32), len(names))
    return Dataset(name, names, train, validation, split(others[-1]) if others else None)


def _import_tfds() -> Any:
    import tensorflow_datasets as tfds

    logging.getLogger("absl").addFilter(_is_for_users)

    if keras.backend.backend() != "tensorflow":
        import tensorflow as tf

        # TensorFlow only reads here: it must not take the GPU's memory from the backend that computes.
        with contextlib.suppress(RuntimeError):  # in use already
            tf.config.set_visible_devices([], "GPU")
    return tfds


def _is_for_users(record: logging.LogRecord) -> bool:
    """Drop the warnings that tensorflow-datasets gives about its own code."""
    return record.levelno > logging.WARNING or "tensorflow_datasets" not in record.pathname


def prepared_builder(name: str, data_dir: str | None) -> Any:
    """Return the builder of a set of tensorflow-datasets.

    Raises:
        ValueError: if the set is unknown or not prepared.
    """
    if not name:
        raise ValueError(f"{TFDS}: give the name of a set behind it, for example {TFDS}cifar10")
    try:
        tfds = _import_tfds()
    except ImportError:
        raise ValueError(
            f"{name}: no such folder or file; for the sets of tensorflow-datasets pip install 'keras-nasnet[data]'"
        ) from None
    try:
        builder = tfds.builder(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError:
        raise ValueError(f"{name}: no such folder or file, and tensorflow-datasets has no set of this name") from None
    except Exception as error:  # a name that cannot be parsed, a wrong version or configuration, anything in a builder
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise ValueError(f"{name}: no such folder or file, and tensorflow-datasets cannot open it ({reason})") from None
    if not builder.is_prepared():
        raise ValueError(
            f"{name}: not prepared in {builder.data_dir}; run `tfds build {name}` once or give the right data_dir"
        )
    return builder


def image_and_label_keys(builder: Any, name: str) -> tuple[str, str]:
    """Return the names of the features that hold the image and its class.

    They are those that the set declares for supervised learning, else "image" and "label", else the only ones of their
    kinds.

    Raises:
        ValueError: if the set is no image classification; says which features it has.
    """
    features = _import_tfds().features
    known = dict(builder.info.features) if isinstance(builder.info.features, features.FeaturesDict) else {}
    declared = builder.info.supervised_keys or ()
    image_key, label_key = (
        _key(known, kind, [*(key for key in declared if isinstance(key, str)), usual])
        for kind, usual in ((features.Image, "image"), (features.ClassLabel, "label"))
    )
    if image_key is None or label_key is None:
        has = ", ".join(f"{key} ({type(feature).__name__})" for key, feature in known.items())
        raise ValueError(
            f"{name}: no image classification: one feature Image and one ClassLabel are wanted, "
            f"by the names image and label where there are several; it has {has or 'no features with names'}"
        )
    if (dtype := np.dtype(known[image_key].np_dtype)) not in (np.uint8, np.uint16):
        raise ValueError(f"{name}: the images in its feature {image_key} are {dtype}: uint8 is wanted")
    return image_key, label_key


def _key(known: Mapping[str, Any], kind: type, usual: Iterable[str]) -> str | None:
    fitting = [key for key, feature in known.items() if isinstance(feature, kind)]
    chosen = next((key for key in usual if key in fitting), None)
    return fitting[0] if chosen is None and len(fitting) == 1 else chosen


def class_names(builder: Any, label_key: str) -> tuple[str, ...]:
    """Return the names of the classes in order; a set without names has "0", "1", and so on."""
    names = tuple(builder.info.features[label_key].names)
    # Its names come with the download: a set that was prepared from other files lacks them.
    unnamed = builder.name == "cifar10" and names == tuple("0123456789")
    return _CIFAR10 if unnamed else names


class EncodedSplit:
    """A split of a prepared set as it is stored.

    Args:
        builder: of a prepared set.
        instruction: of tensorflow-datasets, such as "train[:45000]".
        image_key: name of the feature that holds the image.
        label_key: name of the feature that holds the class.
    """

    def __init__(self, builder: Any, instruction: str, image_key: str, label_key: str):
        self.builder = builder
        self.instruction = instruction
        self.image_key = image_key
        self.label_key = label_key
        self.size: int = builder.info.splits[instruction].num_examples

    def __iter__(self) -> Iterator[tuple[bytes, int]]:
        """Yield the image file and the label of every example, in order.

        Raises:
            ValueError: if the set's files are damaged.
        """
        with self._one_line_errors():
            for example in self._read(decoders=self._skip_decoding()).as_numpy_iterator():
                yield example[self.image_key], int(example[self.label_key])

    @cached_property
    def _labels(self) -> np.ndarray:
        return np.fromiter(self._read_labels(), np.int64, self.size)

    def _read_labels(self) -> Iterator[int]:
        """Return the labels in order; no image is decoded."""
        tfds = _import_tfds()
        labels = self._read(decoders=tfds.decode.PartialDecoding({self.label_key: True}))
        return (example[self.label_key] for example in labels.as_numpy_iterator())

    def has_labels(self) -> bool:
        return next(self._read_labels(), -1) >= 0

    def class_counts(self) -> np.ndarray:
        return np.bincount(self._labels, minlength=self.builder.info.features[self.label_key].num_classes)

    def _skip_decoding(self) -> dict[str, Any]:
        return {self.image_key: _import_tfds().decode.SkipDecoding()}

    def _read(self, decoders: Any, file_seed: int | None = None) -> Any:
        """Return a tf.data.Dataset of the examples, their images encoded; with a seed the files are shuffled."""
        config = _import_tfds().ReadConfig(
            try_autocache=False,
            shuffle_seed=file_seed,
            shuffle_reshuffle_each_iteration=False,
            interleave_cycle_length=FILES_AT_ONCE,
            enable_ordering_guard=False,
        )
        return self.builder.as_dataset(
            split=self.instruction, decoders=decoders, shuffle_files=file_seed is not None, read_config=config
        )

    @contextlib.contextmanager
    def _one_line_errors(self) -> Iterator[None]:
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            reason = " ".join(error.message.split())[:200]
            raise ValueError(f"{self.builder.name}, {self.instruction}: cannot be read ({reason})") from None


class TfdsSplit(EncodedSplit):
    """A split of a prepared set, read and decoded in parallel.

    Shuffling is that of files and then of a buffer of up to 16,384 encoded examples: a whole
    permutation for smaller sets.

    Args:
        builder: of a prepared set.
        instruction: of tensorflow-datasets, such as "train[:45000]".
        image_key: name of the feature that holds the image.
        label_key: name of the feature that holds the class.
        image_size: (height, width) of the images it yields.
        crop: of training images; None takes the central crop always.
    """

    def __init__(
        self,
        builder: Any,
        instruction: str,
        image_key: str,
        label_key: str,
        image_size: tuple[int, int],
        crop: RandomCrop | None,
    ):
        super().__init__(builder, instruction, image_key, label_key)
        self.crop = crop
        self.image_shape = (*image_size, 3)

    def train_batches(
        self, batch: int, epoch: int, seed: int, start: int = 0, shard: tuple[int, int] = (0, 1)
    ) -> Iterable[Batch]:
        import tensorflow as tf

        left = len(train_positions(self.size, batch, start, shard))
        low, high = shard_range(batch, shard)
        file_seed, buffer_seed = (int(number) for number in np.random.SeedSequence((seed, epoch)).generate_state(2))
        examples = self._read(decoders=self._skip_decoding(), file_seed=file_seed)
        examples = examples.shuffle(min(self.size, SHUFFLE_BUFFER), seed=buffer_seed, reshuffle_each_iteration=False)
        examples = examples.enumerate().skip(start * batch).take(left * batch)
        if shard[1] > 1:
            examples = examples.filter(lambda position, _: low <= position % batch < high)

        def decode(position: Any, example: Any) -> tuple[Any, Any]:
            encoded = example[self.image_key]
            if self.crop is None:
                image = self._central_crop(encoded, 1.0)
            else:
                # Two numbers are a whole seed; the position makes each example's own.
                image = self._random_crop(encoded, self.crop, tf.stack([tf.cast(buffer_seed, tf.int64), position]))
            return image, tf.cast(example[self.label_key], tf.int32)

        return self._batches(examples, decode, high - low)

    def eval_batches(self, batch: int, shard: tuple[int, int] = (0, 1)) -> Iterable[Batch]:
        import tensorflow as tf

        low, high = shard_range(batch, shard)
        examples = self._read(decoders=self._skip_decoding()).enumerate()
        if shard[1] > 1:
            examples = examples.filter(lambda position, _: low <= position % batch < high)
        fraction = 1.0 if self.crop is None else self.crop.evaluation

        def decode(position: Any, example: Any) -> tuple[Any, Any]:
            image = self._central_crop(example[self.image_key], fraction)
            return image, tf.cast(example[self.label_key], tf.int32)

        return self._padded(self._batches(examples, decode, high - low), math.ceil(self.size / batch))

    def _padded(self, batches: Iterable[Batch], count: int) -> Iterator[Batch]:
        """Yield the batches, and an empty one for a shard whose slice of the last batch has no example."""
        for batch in batches:
            yield batch
            count -= 1
        if count:
            yield np.empty((0, *self.image_shape), np.uint8), np.empty(0, np.int32)

    def _batches(self, examples: Any, decode: Callable[[Any, Any], tuple[Any, Any]], batch: int) -> Iterator[Batch]:
        import tensorflow as tf

        decoded = examples.map(decode, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        options = tf.data.Options()
        options.deterministic = True
        batches = decoded.batch(batch).prefetch(tf.data.AUTOTUNE).with_options(options)
        with self._one_line_errors():
            yield from batches.as_numpy_iterator()

    def _central_crop(self, encoded: Any, fraction: float) -> Any:
        """Return an image decoded, cropped and resized, as `common.images.Preprocessing` does it."""
        import tensorflow as tf

        pixels = _decode(encoded)
        height, width, _ = self.image_shape
        size = tf.cast(tf.shape(pixels)[:2], tf.float32)
        target = tf.constant([height, width], tf.float32)
        wanted = target * tf.reduce_min(size / target) * fraction
        return self._resize(pixels, (size - wanted) / 2, wanted)

    def _random_crop(self, encoded: Any, crop: RandomCrop, seed: Any) -> Any:
        """Return a random part of an image, resized; of a JPEG, only that part is decoded."""
        import tensorflow as tf

        is_jpeg = tf.io.is_jpeg(encoded)
        shape = tf.cond(is_jpeg, lambda: tf.io.extract_jpeg_shape(encoded), lambda: tf.shape(_decode(encoded)))
        begin, size, _ = tf.image.stateless_sample_distorted_bounding_box(
            shape,
            bounding_boxes=tf.constant([[[0.0, 0.0, 1.0, 1.0]]]),
            seed=seed,
            min_object_covered=crop.covered,
            aspect_ratio_range=crop.aspect,
            area_range=crop.area,
            max_attempts=crop.attempts,
            use_image_if_no_bounding_boxes=True,
        )
        box = tf.concat([begin[:2], size[:2]], 0)
        pixels = tf.cond(
            is_jpeg,
            lambda: tf.io.decode_and_crop_jpeg(encoded, box, channels=3, dct_method="INTEGER_ACCURATE"),
            lambda: tf.slice(_decode(encoded), begin, size),
        )
        return self._resize(pixels, tf.zeros(2), tf.cast(size[:2], tf.float32))

    def _resize(self, pixels: Any, begin: Any, size: Any) -> Any:
        """Return the box at `begin` of `size`, both (height, width) in pixels, resized bicubically and antialiased."""
        import tensorflow as tf

        height, width, _ = self.image_shape

        def resized() -> Any:
            scale = tf.constant([height, width], tf.float32) / size
            # tf.image.resize uses this operation too, but takes no box of fractions.
            image = tf.raw_ops.ScaleAndTranslate(
                images=pixels[None],
                size=(height, width),
                scale=scale,
                translation=-begin * scale,
                kernel_type="keyscubic",
                antialias=True,
            )[0]
            return tf.cast(tf.clip_by_value(tf.round(image), 0, 255), tf.uint8)

        fits = tf.reduce_all(tf.equal(tf.shape(pixels), tf.constant(self.image_shape))) & tf.reduce_all(
            tf.equal(size, tf.constant([height, width], tf.float32))
        )
        image = tf.cond(fits, lambda: pixels, resized)
        image.set_shape(self.image_shape)
        return image


def _decode(encoded: Any) -> Any:
    """Return a JPEG, PNG or BMP, or a GIF's first frame, as uint8 (height, width, 3)."""
    import tensorflow as tf

    return tf.cond(
        tf.io.is_jpeg(encoded),
        # As Pillow decodes, to the last digit.
        lambda: tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.io.decode_image(encoded, channels=3, expand_animations=False),
    )

"""Preprocessing in TensorFlow's operations, for graphs that take encoded images."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_nasnet.common import limits
from keras_nasnet.common.images import Preprocessing

TOP = 5  # classes of an answer
_LEAST_BYTES = 26  # of a file that says its size
_GIF_PARTS = 20_000  # of the blocks of a GIF that are looked at, 255 bytes each


def serve(
    probabilities: Callable[[Any], Any], preprocessing: Preprocessing, class_names: Sequence[str], image_bytes: Any
) -> dict[str, Any]:
    """Return the most probable classes of encoded images, in a graph.

    Args:
        probabilities: of preprocessed images.
        preprocessing: of these images.
        class_names: in order.
        image_bytes: string tensor (n,): JPEG, PNG, GIF or BMP.

    Returns:
        "labels", a string tensor (n, k), and "probabilities", float32 (n, k), the most probable first; k is 5, or
        the number of classes if they are fewer. Of an image that cannot be read the labels are empty and the
        probabilities 0; the others of its batch are answered.
    """
    images, are_read = tf.map_fn(
        lambda encoded: _image_or_black(encoded, preprocessing),
        image_bytes,
        parallel_iterations=1,  # each may take as much memory as one image may
        fn_output_signature=(
            tf.TensorSpec((preprocessing.height, preprocessing.width, 3), tf.float32),
            tf.TensorSpec((), tf.bool),
        ),
    )
    found = tf.math.top_k(probabilities(images), min(TOP, len(class_names)))
    labels = tf.gather(tf.constant(list(class_names)), found.indices)
    return {
        "labels": tf.where(are_read[:, None], labels, ""),
        "probabilities": tf.where(are_read[:, None], found.values, 0.0),
    }


def _image_or_black(encoded: Any, preprocessing: Preprocessing) -> tuple[Any, Any]:
    """Return one image, preprocessed, and True; or zeros and False if it cannot be read."""
    black = tf.zeros((preprocessing.height or 32, preprocessing.width or 32, 3))
    black = tf.ensure_shape(black, (preprocessing.height, preprocessing.width, 3))
    # A graph has no other way to go on after an operation that fails.
    dataset = tf.data.Dataset.from_tensors(encoded).map(lambda data: preprocess(decode(data), preprocessing))
    return dataset.ignore_errors().reduce((black, False), lambda _, image: (image, True))


def decode(encoded: Any) -> Any:
    """Return the pixels of one encoded image as `read_image` does, uint8 (height, width, 3).

    What TensorFlow has no operation for differs: formats other than JPEG, PNG, GIF and BMP are refused, and EXIF
    orientation is not applied. A JPEG of more than `limits.SERVED_PIXELS` is decoded at half its size; other images of
    so many pixels are refused, and all of more than `limits.IMAGE_PIXELS` or `limits.IMAGE_BYTES`, before they are
    decoded.
    """

    def jpeg() -> Any:
        pixels = _pixels(tf.io.extract_jpeg_shape(encoded)[:2], limits.IMAGE_PIXELS)

        def at(ratio: int) -> Any:
            with tf.control_dependencies([pixels]):
                return tf.io.decode_jpeg(encoded, channels=3, ratio=ratio, dct_method="INTEGER_ACCURATE")

        return tf.cond(pixels > limits.SERVED_PIXELS, lambda: at(2), lambda: at(1))

    def png() -> Any:  # what is transparent becomes white
        with tf.control_dependencies([_pixels(_numbers(encoded, 16, 2, tf.int32, False), limits.SERVED_PIXELS)]):
            pixels = tf.cast(tf.io.decode_png(encoded, channels=4), tf.uint16)
        colour, alpha = pixels[..., :3], pixels[..., 3:]
        return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    def gif() -> Any:
        return tf.io.decode_image(_first_frame(encoded), channels=3, expand_animations=False)

    def bmp() -> Any:
        with tf.control_dependencies([_pixels(tf.abs(_numbers(encoded, 18, 2, tf.int32)), limits.SERVED_PIXELS)]):
            return tf.io.decode_image(encoded, channels=3, expand_animations=False)

    def begins_with(head: bytes) -> Any:
        return tf.equal(tf.strings.substr(encoded, 0, len(head)), head)

    formats = [(tf.io.is_jpeg(encoded), jpeg), (begins_with(b"\x89PNG"), png), (begins_with(b"GIF8"), gif)]
    known = tf.debugging.Assert(
        tf.reduce_any([*(is_one for is_one, _ in formats), begins_with(b"BM")])
        & (tf.strings.length(encoded) >= _LEAST_BYTES)
        & (tf.strings.length(encoded) <= limits.IMAGE_BYTES),
        ["no JPEG, PNG, GIF or BMP, or one of too few or too many bytes"],
    )
    with tf.control_dependencies([known] if known is not None else []):
        pixels = tf.case(formats, default=bmp)
    return tf.ensure_shape(pixels, (None, None, 3))


def _numbers(encoded: Any, start: Any, count: int, dtype: Any, little_endian: bool = True) -> Any:
    """Return numbers that stand in the bytes of a file, int64 (count,)."""
    field = tf.strings.substr(encoded, start, count * dtype.size)
    return tf.cast(tf.ensure_shape(tf.io.decode_raw(field, dtype, little_endian), (count,)), tf.int64)


def _pixels(sides: Any, most: int) -> Any:
    """Return the number of pixels of an image of these sides, int64; fails if there are more than `most`."""
    pixels = tf.reduce_prod(tf.cast(sides, tf.int64))
    is_right = tf.reduce_all(sides >= 0) & (pixels <= most)
    with tf.control_dependencies([tf.debugging.Assert(is_right, ["too many pixels", sides])]):
        return tf.identity(pixels)


def _first_frame(encoded: Any) -> Any:
    """Return a GIF of the first frame alone: TensorFlow unpacks all, of any sizes, before it takes the first."""
    data = tf.cast(tf.io.decode_raw(encoded, tf.uint8), tf.int32)
    canvas = _pixels(_numbers(encoded, 6, 2, tf.uint16), limits.SERVED_PIXELS)

    def table(flags: Any) -> Any:  # bytes of the colours that follow
        return tf.where(flags >= 128, 3 * tf.bitwise.left_shift(2, flags % 8), 0)

    def step(place: Any, in_data: Any, in_frame: Any) -> tuple[Any, Any, Any]:
        """Go on to the next block, or part of its data; at the end of the frame nothing is left."""
        byte = data[place]

        def frame() -> Any:
            _pixels(_numbers(encoded, place + 5, 2, tf.uint16), limits.SERVED_PIXELS)
            return place + 11 + table(data[place + 9])

        def block() -> tuple[Any, Any, Any]:
            is_frame = tf.equal(byte, 0x2C)
            tf.debugging.Assert(is_frame | tf.equal(byte, 0x21), ["no frame"])
            return tf.cond(is_frame, frame, lambda: place + 2), tf.constant(True), is_frame

        def part() -> tuple[Any, Any, Any]:
            return place + 1 + byte, byte > 0, in_frame

        return tf.cond(in_data, part, block)

    def goes_on(place: Any, in_data: Any, in_frame: Any) -> Any:
        return tf.logical_or(in_data, tf.logical_not(in_frame))

    begin = 13 + table(data[10]), tf.constant(False), tf.constant(False)
    place, in_data, _ = tf.while_loop(goes_on, step, begin, maximum_iterations=_GIF_PARTS)
    tf.debugging.Assert(tf.logical_not(in_data), ["too large a frame"])
    with tf.control_dependencies([canvas]):
        return tf.strings.substr(encoded, 0, place) + b";"


def preprocess(pixels: Any, preprocessing: Preprocessing) -> Any:
    """Return what `Preprocessing.__call__` makes of one image, float32 (height, width, 3).

    Args:
        pixels: uint8 (height, width, 3).
        preprocessing: crop, interpolation, size and scale.
    """
    images = tf.cast(pixels, tf.float32)
    if preprocessing.height is not None and preprocessing.width is not None:
        size = (preprocessing.height, preprocessing.width)
        lengths = [tf.cast(tf.shape(pixels)[axis], tf.float64) for axis in (0, 1)]
        crops = lengths
        if preprocessing.crop_fraction is not None:
            ratios = [length / wanted for length, wanted in zip(lengths, size, strict=True)]
            scale = tf.minimum(*ratios) * preprocessing.crop_fraction
            crops = [tf.minimum(wanted * scale, length) for length, wanted in zip(lengths, size, strict=True)]
        # Both results are whole numbers, as Pillow's are, so that their order counts. Which one Pillow 13 takes was
        # measured: rows first where they shrink much and columns little. Older ones begin with the columns.
        height, width = lengths
        rows_first = (size[0] < height) & ((size[1] / width) ** 1.6 > size[0] / height)

        def resize(order: tuple[int, int]) -> Any:
            resized = images
            for axis in order:
                resized = _resize(resized, axis, size[axis], lengths[axis], crops[axis], preprocessing.interpolation)
            return resized

        images = tf.cond(rows_first, lambda: resize((0, 1)), lambda: resize((1, 0)))
        images = tf.ensure_shape(images, (*size, 3))
    return (images - tf.constant(preprocessing.mean)) / tf.constant(preprocessing.std)


def _resize(images: Any, axis: int, size: int, length: Any, crop: Any, interpolation: str) -> Any:
    """Resize the middle of one axis, of `crop` pixels, to whole numbers 0..255, as Pillow's Resample.c does."""
    # Pillow keeps the box in float32.
    start, end = (tf.cast(tf.cast(edge, tf.float32), tf.float64) for edge in ((length - crop) / 2, (length + crop) / 2))
    step = (end - start) / size
    if interpolation == "nearest":
        steps = tf.concat([[start + step * 0.5], tf.fill([size - 1], step)], 0)  # Pillow adds them up, and rounds so
        places = tf.minimum(tf.cast(tf.cumsum(steps), tf.int32), tf.cast(length, tf.int32) - 1)
        return tf.gather(images, places, axis=axis)
    centres = start + (tf.range(size, dtype=tf.float64) + 0.5) * step
    distances = (tf.range(length, dtype=tf.float64) + 0.5 - centres[:, None]) / tf.maximum(step, 1.0)
    weights = _KERNELS[interpolation](distances)  # (size, length)
    weights = tf.cast(weights / tf.reduce_sum(weights, axis=1, keepdims=True), tf.float32)
    resized = tf.einsum("ol,hlc->hoc" if axis == 1 else "ol,lwc->owc", weights, images)
    return tf.clip_by_value(tf.floor(resized + 0.5), 0, 255)


def _box(x: Any) -> Any:
    return tf.where((x > -0.5) & (x <= 0.5), tf.ones_like(x), 0)


def _bilinear(x: Any) -> Any:
    return tf.maximum(1 - tf.abs(x), 0)


def _bicubic(x: Any) -> Any:
    x = tf.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return tf.where(x < 1, near, tf.where(x < 2, far, 0))


def _lanczos(x: Any) -> Any:
    return tf.where(tf.abs(x) < 3, _sinc(x) * _sinc(x / 3), 0)


def _sinc(x: Any) -> Any:
    x = x * math.pi
    return tf.where(x == 0, tf.ones_like(x), tf.math.divide_no_nan(tf.sin(x), x))


_KERNELS = {"box": _box, "bilinear": _bilinear, "bicubic": _bicubic, "lanczos": _lanczos}

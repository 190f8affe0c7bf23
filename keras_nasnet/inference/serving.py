"""Preprocessing in TensorFlow's operations, for graphs that take encoded images."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_nasnet.common.images import Preprocessing

TOP = 5  # classes of an answer


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
        the number of classes if they are fewer.
    """
    shape = (preprocessing.height, preprocessing.width, 3)
    images = tf.map_fn(
        lambda encoded: preprocess(decode(encoded), preprocessing),
        image_bytes,
        fn_output_signature=tf.TensorSpec(shape, tf.float32),
    )
    found = tf.math.top_k(probabilities(images), min(TOP, len(class_names)))
    return {"labels": tf.gather(tf.constant(list(class_names)), found.indices), "probabilities": found.values}


def decode(encoded: Any) -> Any:
    """Return the pixels of one encoded image as `read_image` does, uint8 (height, width, 3).

    What TensorFlow has no operation for differs: WebP is refused, and EXIF orientation is not applied.
    """

    def jpeg() -> Any:
        return tf.io.decode_jpeg(encoded, channels=3, dct_method="INTEGER_ACCURATE")

    def png() -> Any:  # what is transparent becomes white
        pixels = tf.cast(tf.io.decode_png(encoded, channels=4), tf.int32)
        colour, alpha = pixels[..., :3], pixels[..., 3:]
        return tf.cast((colour * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    def other() -> Any:
        return tf.io.decode_image(encoded, channels=3, expand_animations=False)

    is_png = tf.strings.substr(encoded, 0, 4) == b"\x89PNG"
    pixels = tf.cond(tf.io.is_jpeg(encoded), jpeg, lambda: tf.cond(is_png, png, other))
    return tf.ensure_shape(pixels, (None, None, 3))


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

"""Preprocessing in TensorFlow's operations, for graphs that take encoded images."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from keras_nasnet.images import Preprocessing

TOP = 5  # classes of an answer

_KERNELS = {"bilinear": "triangle", "bicubic": "keyscubic", "lanczos": "lanczos3", "box": "box"}


def serve(
    probabilities: Callable[[Any], Any], preprocessing: Preprocessing, class_names: Sequence[str], image_bytes: Any
) -> dict[str, Any]:
    """Returns the most probable classes of encoded images, in a graph.

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
    """Returns the pixels of one encoded image as `read_image` does, uint8 (height, width, 3).

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
    """Returns what `Preprocessing.__call__` makes of one image, float32 (height, width, 3).

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
        # Pillow's order: columns are resized first, and both results are whole numbers.
        for axis in (1, 0):
            images = _resize(images, axis, size[axis], lengths[axis], crops[axis], preprocessing.interpolation)
        images = tf.ensure_shape(images, (*size, 3))
    return (images - tf.constant(preprocessing.mean)) / tf.constant(preprocessing.std)


def _resize(images: Any, axis: int, size: int, length: Any, crop: Any, interpolation: str) -> Any:
    """Resizes the middle of one axis, of `crop` pixels, to whole numbers 0..255."""
    start = (length - crop) / 2
    if interpolation == "nearest":
        places = (tf.range(size, dtype=tf.float64) + 0.5) * (crop / size) + start
        return tf.gather(images, tf.minimum(tf.cast(places, tf.int32), tf.cast(length, tf.int32) - 1), axis=axis)
    factor = size / crop
    other = tf.shape(images)[1 - axis]
    one, zero = tf.ones((), tf.float64), tf.zeros((), tf.float64)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=images[None],
        size=tf.stack([size, other] if axis == 0 else [other, size]),
        scale=tf.cast(tf.stack([factor, one] if axis == 0 else [one, factor]), tf.float32),
        translation=tf.cast(tf.stack([-start * factor, zero] if axis == 0 else [zero, -start * factor]), tf.float32),
        kernel_type=_KERNELS[interpolation],
        antialias=True,
    )[0]
    return tf.clip_by_value(tf.floor(resized + 0.5), 0, 255)

"""Preprocessing inside a graph is ours."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common.images import Preprocessing, read_image
from keras_nasnet.inference.real_images import photographs
from tests.support.imagenet_samples import originals

tf = pytest.importorskip("tensorflow")
from keras_nasnet.inference.serving import decode, preprocess  # noqa: E402

SETTINGS = [
    ("bicubic", 224, 0.875),
    ("bicubic", 331, 1.0),
    ("bicubic", 32, None),
    ("lanczos", 64, 1.0),
    ("nearest", 80, 0.9),
]


def encoded(image, form, **options):
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def levels_apart(contents, interpolation, size, crop):
    """The largest difference of a pixel, and the part of the pixels that differ."""
    preprocessing = Preprocessing(size, size, crop, interpolation, mean=(0, 0, 0), std=(1, 1, 1))
    graph = tf.function(lambda data: preprocess(decode(data), preprocessing), [tf.TensorSpec((), tf.string)])
    theirs = np.stack([graph(content).numpy() for content in contents])
    ours = preprocessing([read_image(io.BytesIO(content)) for content in contents])
    return np.abs(ours - theirs).max(), (ours != theirs).mean()


@pytest.mark.parametrize(("interpolation", "size", "crop"), SETTINGS)
def test_photographs_are_preprocessed_to_one_level(interpolation, size, crop):
    images = photographs()
    contents = [encoded(image, "JPEG") for image in (images[0], images[3].resize((130, 170)))]
    most, part = levels_apart(contents, interpolation, size, crop)
    assert most <= 1 and part < 1e-3


@pytest.mark.parametrize(("interpolation", "size", "crop"), SETTINGS[:3])
def test_imagenet_photographs_are_preprocessed_to_one_level(interpolation, size, crop):
    most, part = levels_apart([file.read_bytes() for file in originals()], interpolation, size, crop)
    assert most <= 1 and part < 1e-3


def test_every_kind_of_file_is_decoded_as_read_image_does():
    random = np.random.default_rng(0)
    colour = Image.fromarray(random.integers(0, 256, (20, 30, 3), dtype=np.uint8))
    clear = Image.fromarray(random.integers(0, 256, (20, 30, 4), dtype=np.uint8))
    grey = colour.convert("L")
    contents = [encoded(image, "PNG") for image in (colour, clear, grey, colour.convert("P"))]
    contents += [encoded(colour, "JPEG"), encoded(grey, "JPEG"), encoded(colour, "BMP"), encoded(colour, "GIF")]
    for content in contents:
        ours, theirs = np.asarray(read_image(io.BytesIO(content))), decode(content).numpy()
        assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


def test_what_is_no_image_is_an_error():
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(b"no image")

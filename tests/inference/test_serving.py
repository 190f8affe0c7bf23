"""Preprocessing inside a graph is ours."""

import io

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common import limits
from keras_nasnet.common.images import Preprocessing, read_image
from keras_nasnet.inference.real_images import photographs
from tests.support.imagenet_samples import originals

tf = pytest.importorskip("tensorflow")
from keras_nasnet.inference.serving import decode, preprocess, serve  # noqa: E402

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


def test_of_an_animation_the_first_frame_is_decoded():
    frames = [Image.new("RGB", (40, 30), colour) for colour in ((220, 30, 40), (20, 200, 60))]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], comment=b"two " * 200)
    np.testing.assert_array_equal(decode(content).numpy(), np.asarray(read_image(io.BytesIO(content))))


@pytest.mark.parametrize(
    "content", [b"no image", b"", b"\xff\xd8\xff", b"\x89PNG", b"GIF89a", b"BM", b"RIFF1234WEBPVP8 "]
)
def test_what_is_no_image_is_an_error(content):
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(content)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP"])
def test_too_many_pixels_are_an_error(form, monkeypatch):
    content = encoded(Image.new("RGB", (50, 40)), form)
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 2000)
    monkeypatch.setattr(limits, "SERVED_PIXELS", 2000)
    assert decode(content).shape == (40, 50, 3)
    monkeypatch.setattr(limits, "IMAGE_PIXELS", 1999)
    monkeypatch.setattr(limits, "SERVED_PIXELS", 1999)
    with pytest.raises(tf.errors.InvalidArgumentError):
        decode(content)


def test_a_large_jpeg_is_decoded_at_half_its_size(monkeypatch):
    monkeypatch.setattr(limits, "SERVED_PIXELS", 1999)
    assert decode(encoded(Image.new("RGB", (50, 40)), "JPEG")).shape == (20, 25, 3)


def test_a_bad_image_does_not_fail_the_others_of_its_batch(tmp_path):
    """Also in a SavedModel, where this package is not."""
    red, green = (encoded(Image.new("RGB", (40, 30), colour), "PNG") for colour in ("red", "lime"))
    bomb = red[:16] + (60_000).to_bytes(4, "big") * 2 + red[24:]
    images = [red, b"no image", green, red[:60], bomb, b"", green]
    preprocessing = Preprocessing(32, 32, mean=(0, 0, 0), std=(1, 1, 1))

    def served(image_bytes):
        return serve(
            lambda pixels: tf.reduce_mean(pixels, (1, 2)) / 255, preprocessing, ["red", "green", "blue"], image_bytes
        )

    module = tf.Module()
    module.served = tf.function(served, [tf.TensorSpec((None,), tf.string)])
    tf.saved_model.save(module, str(tmp_path / "saved"))
    answers = tf.saved_model.load(str(tmp_path / "saved")).served(images)
    labels, probabilities = answers["labels"].numpy(), answers["probabilities"].numpy()
    assert labels.shape == probabilities.shape == (7, 3)
    assert labels[:, 0].tolist() == [b"red", b"", b"green", b"", b"", b"", b"green"]
    assert probabilities[:, 0].tolist() == [1, 0, 1, 0, 0, 0, 1]

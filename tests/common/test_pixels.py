"""Arrays as pictures."""

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.common.images import Preprocessing, as_several
from keras_nasnet.common.pixels import batch_from_array, from_array, to_bytes

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 40, 4), dtype=np.uint8)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_an_array_is_the_picture_that_its_file_is(tmp_path, mode):
    image = Image.fromarray(PIXELS, "RGBA").convert(mode)
    image.save(tmp_path / "image.png")
    preprocessing = Preprocessing(24, 24)
    expected = preprocessing.fit(tmp_path / "image.png")
    np.testing.assert_array_equal(preprocessing.fit(np.asarray(image)), expected)
    if mode == "L":
        np.testing.assert_array_equal(preprocessing.fit(np.asarray(image)[..., None]), expected)


@pytest.mark.parametrize("dtype", ["int32", "uint16", "int64", "float16", "float32", "float64"])
def test_every_type_of_numbers(dtype):
    np.testing.assert_array_equal(to_bytes(PIXELS.astype(dtype)), PIXELS)


def test_bfloat16():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    assert to_bytes(np.array([0, 128, 255], ml_dtypes.bfloat16)).tolist() == [0, 128, 255]


def test_fractions_are_rounded():
    assert to_bytes(np.array([0.4, 1.5, 254.6, 255.0005, -0.0005])).tolist() == [0, 2, 255, 255, 0]


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (PIXELS / 255, "float64 from 0 to 1: pixels from 0 to 255 are expected; multiply by 255"),
        (PIXELS / 127.5 - 1, "from -1 to 1: pixels from 0 to 255 are expected, not preprocessed"),
        (PIXELS / 60.0 - 0.3, "from -0.3 to"),
        (PIXELS.astype(np.uint16) * 257, "uint16 from 0 to 65535: pixels from 0 to 255 are expected; scale"),
        (PIXELS.astype(np.int32) - 1, "int32 from -1"),
        (PIXELS.astype(np.int16) + 1, "int16 from 1 to 256"),
        (np.full((32, 32, 3), np.nan), "NaN"),
        (np.full((32, 32, 3), np.inf), "infinity"),
        (np.ones((32, 32, 3), np.float32), "float32 from 1 to 1"),
        (PIXELS > 9, "True or False"),
        (PIXELS.astype(str), "expected"),
        (PIXELS.astype(complex), "expected"),
        (np.array([[[None] * 3]]), "expected"),
    ],
)
def test_other_scales_are_refused_by_name(pixels, message):
    with pytest.raises(ValueError, match=message) as raised:
        Preprocessing(32, 32).fit(pixels)
    assert "\n" not in str(raised.value)
    with pytest.raises(ValueError, match=message):
        Preprocessing(32, 32)(pixels[None])


@pytest.mark.parametrize("channels", [3, 4])
def test_an_array_of_the_right_size_is_not_cropped(channels):
    pixels = PIXELS[:, :32, :channels].copy()
    pixels[..., 3:] = 255
    np.testing.assert_array_equal(Preprocessing(32, 32, crop_fraction=0.5).fit(pixels), pixels[..., :3])


def test_black_is_black_in_every_type():
    for dtype in ("uint8", "int64", "float32"):
        assert Preprocessing(32, 32).fit(np.zeros((32, 32, 3), dtype)).max() == 0


def test_a_dark_frame_among_others_is_taken_as_they_are():
    film = np.full((3, 32, 32, 3), 200.0)
    film[1] = 0.7
    assert Preprocessing(32, 32, mean=(0, 0, 0), std=(1, 1, 1))(film)[1].max() == 1


@pytest.mark.parametrize("shape", [(3, 32, 32), (32, 32, 5), (0, 32, 3), (32,), (2, 2, 2, 2, 2), (32, 32, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match="an image has shape"):
        from_array(np.zeros(shape, np.uint8))


@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)])
def test_a_batch_is_its_images(channels):
    batch = np.random.default_rng(0).integers(0, 256, (3, 8, 9, *channels), dtype=np.uint8)
    expected = np.stack([np.asarray(from_array(one)) for one in batch])
    np.testing.assert_array_equal(batch_from_array(batch.astype(np.float32)), expected)
    assert batch_from_array(batch[:0]).shape == (0, 8, 9, 3)


def test_one_and_several():
    assert len(as_several(PIXELS)) == len(as_several(PIXELS[..., 0])) == len(as_several("photo.jpg")) == 1
    assert as_several(PIXELS[None].astype(float)).dtype == np.uint8
    assert as_several(["a.png", "b.png"]) == ["a.png", "b.png"]

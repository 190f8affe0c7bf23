"""Augmentation: each layer against a plain NumPy account of what it may do, on two backends."""

import subprocess
import sys

import keras
import numpy as np
import pytest

from keras_nasnet.training.augmentation_layers import ColorDistortion, Cutout, PadCropFlip, RandomFlip
from tests.support import JAX, environment

IMAGES = np.random.default_rng(0).integers(0, 256, (64, 9, 12, 3), dtype=np.uint8)
LAYERS = [
    PadCropFlip(seed=1),
    PadCropFlip(3, "reflect", seed=1),
    RandomFlip(seed=1),
    Cutout(4, fill=(125.3, 123.0, 113.9), seed=1),
    ColorDistortion(seed=1),
]


def clone(layer):
    return type(layer).from_config(layer.get_config())


def augment(layer, images):
    return keras.ops.convert_to_numpy(layer(images, training=True))


def many(layer, image, count):
    """Returns one image augmented `count` times."""
    return augment(layer, np.repeat(image[None], count, axis=0))


@pytest.fixture(params=LAYERS, ids=lambda layer: layer.name)
def layer(request):
    return clone(request.param)


# === Of all layers ===


@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16"])
def test_shape_and_dtype_stay(layer, dtype):
    images = keras.ops.cast(IMAGES, dtype)
    for training in (True, False, None):
        result = layer(images, training=training)
        assert tuple(result.shape) == IMAGES.shape
        assert keras.backend.standardize_dtype(result.dtype) == dtype


def test_nothing_happens_outside_training(layer):
    for options in ({}, {"training": False}):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(layer(IMAGES, **options)), IMAGES)


def test_each_image_and_each_call_is_augmented_on_its_own(layer):
    first, second = many(layer, IMAGES[0], 64), many(layer, IMAGES[0], 64)
    assert not np.array_equal(first, second)
    assert len({image.tobytes() for image in first}) > 1


def test_the_seed_decides(layer):
    one, other = clone(layer), clone(layer)
    for _ in range(3):
        np.testing.assert_array_equal(augment(one, IMAGES), augment(other, IMAGES))
    different = type(layer).from_config(layer.get_config() | {"seed": 2})
    assert not np.array_equal(augment(different, IMAGES), augment(clone(layer), IMAGES))


def test_a_restored_state_goes_on(layer):
    augment(layer, IMAGES)
    state = np.array(layer.seed_generator.state.value)  # a copy: PyTorch would hand out its own memory
    expected = augment(layer, IMAGES)
    resumed = clone(layer)
    resumed.seed_generator.state.assign(state)
    np.testing.assert_array_equal(augment(resumed, IMAGES), expected)
    assert [variable.path for variable in layer.variables] == [layer.seed_generator.state.path]


def test_serialization(layer, tmp_path):
    inputs = keras.Input(IMAGES.shape[1:], dtype="uint8")
    model = keras.Model(inputs, layer(inputs))
    assert model.output.dtype == "uint8"
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras").layers[-1]
    assert loaded.get_config() == layer.get_config()
    np.testing.assert_array_equal(augment(clone(loaded), IMAGES), augment(clone(layer), IMAGES))


def test_under_a_mixed_precision_policy(layer):
    keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        result = layer(IMAGES.astype(np.float32), training=True)
        assert keras.backend.standardize_dtype(result.dtype) == "float32"
        fresh = type(layer)(seed=1)
        assert keras.backend.standardize_dtype(fresh(IMAGES, training=True).dtype) == "uint8"
    finally:
        keras.mixed_precision.set_dtype_policy("float32")


@pytest.mark.jax
def test_jax_jits_them_and_keeps_the_state_outside():
    code = """
import jax
import keras
import numpy as np
from keras_nasnet.training.augmentation_layers import ColorDistortion, Cutout, PadCropFlip, RandomFlip

images = np.random.default_rng(0).integers(0, 256, (8, 9, 12, 3), dtype=np.uint8)
for layer in (PadCropFlip(seed=1), PadCropFlip(3, "reflect", seed=1), RandomFlip(seed=1), Cutout(4, seed=1),
              ColorDistortion(seed=1)):
    again = type(layer).from_config(layer.get_config())
    expected = [np.asarray(again(images, training=True)) for _ in range(2)]
    step = jax.jit(lambda state, images: layer.stateless_call([], state, images, training=True))
    state = [variable.value for variable in layer.non_trainable_variables]
    for wanted in expected:
        result, state = step(state, images)
        assert result.dtype == np.uint8
        assert np.abs(np.asarray(result, int) - wanted).max() <= 1, layer.name
print("done")
"""
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment(**JAX), check=False)
    assert (result.returncode, result.stdout) == (0, "done\n"), result.stderr


# === One by one ===


@pytest.mark.parametrize("mode", ["constant", "reflect"])
def test_pad_crop_flip_gives_every_window_equally_often(mode):
    pad, image = 2, IMAGES[0]
    height, width = image.shape[:2]
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode=mode)
    windows = {}
    for top in range(2 * pad + 1):
        for left in range(2 * pad + 1):
            window = padded[top : top + height, left : left + width]
            windows[window.tobytes()] = windows[window[:, ::-1].tobytes()] = 0
    assert len(windows) == 50
    for result in many(PadCropFlip(pad, mode, seed=0), image, 5000):
        windows[result.tobytes()] += 1  # KeyError: no such window
    counts = np.array(list(windows.values()))
    assert ((counts - 100) ** 2 / 100).sum() < 94  # chi-squared of 49 degrees of freedom: 1 in 10,000


def test_pad_crop_flip_keeps_each_image_to_itself():
    images = np.repeat(np.arange(1, 65, dtype=np.uint8), 32 * 32 * 3).reshape(64, 32, 32, 3)
    result = augment(PadCropFlip(seed=0), images)
    for number, image in enumerate(result, 1):
        assert set(np.unique(image)) <= {0, number}


def test_pad_crop_flip_on_floats():
    one, other = PadCropFlip(seed=3), PadCropFlip(seed=3)
    np.testing.assert_array_equal(augment(one, IMAGES), augment(other, IMAGES.astype(np.float32)))


def test_random_flip_mirrors_half_of_the_images():
    flipped = 0
    for result in many(RandomFlip(seed=0), IMAGES[0], 1000):
        if np.array_equal(result, IMAGES[0][:, ::-1]):
            flipped += 1
        else:
            np.testing.assert_array_equal(result, IMAGES[0])
    assert 430 < flipped < 570


@pytest.mark.parametrize("size", [1, 4, 5, 16])
def test_cutout_gives_every_square_equally_often(size):
    image, fill = IMAGES[0], (300.0, -1.0, 0.5)  # no pixel has that colour
    height, width = image.shape[:2]
    places = {}
    for y in range(height):
        for x in range(width):
            expected = image.astype(np.float32)
            top, left = y - size // 2, x - size // 2
            expected[max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)] = fill
            places.setdefault(expected.tobytes(), [0, 0])[0] += 1
    for result in many(Cutout(size, fill, seed=0), image.astype(np.float32), 4000):
        places[result.tobytes()][1] += 1
    expected, seen = np.array(list(places.values())).T
    expected = expected * 4000 / (height * width)
    assert (np.abs(seen - expected) < 5 * np.sqrt(expected)).all()


def test_cutout_rounds_its_colour_for_pixels():
    result = many(Cutout(64, (125.4, 122.6, 0), seed=0), IMAGES[0], 3)
    assert np.unique(result.reshape(-1, 3), axis=0).tolist() == [[125, 123, 0]]


def test_color_distortion_by_its_formula():
    def reference(image, brightness, saturation, contrast):
        pixels = image.astype(np.float64) + brightness
        grey = (pixels @ [0.299, 0.587, 0.114])[..., None]
        pixels = grey + saturation * (pixels - grey)
        mean = pixels.mean((0, 1))
        return np.clip(mean + contrast * (pixels - mean), 0, 255)

    image = IMAGES[0].astype(np.float32)
    nothing = {"brightness": 0.0, "saturation": (1.0, 1.0), "contrast": (1.0, 1.0)}
    np.testing.assert_allclose(many(ColorDistortion(**nothing), image, 1)[0], image, atol=1e-3)
    np.testing.assert_array_equal(many(ColorDistortion(**nothing), IMAGES[0], 1)[0], IMAGES[0])
    for saturation, contrast in ((0.0, 1.0), (1.5, 1.0), (1.0, 0.0), (0.5, 1.5)):
        layer = ColorDistortion(0.0, (saturation, saturation), (contrast, contrast))
        np.testing.assert_allclose(many(layer, image, 1)[0], reference(image, 0, saturation, contrast), atol=1e-3)
    grey = np.full((4, 4, 3), 100, np.float32)
    moved = many(ColorDistortion(seed=0), grey, 500)[:, 0, 0, 0] - 100
    assert moved.min() >= -32.01
    assert moved.max() <= 32.01
    assert moved.min() < -28 < 28 < moved.max()


def test_arguments_that_make_no_sense():
    with pytest.raises(ValueError, match="pad is -1"):
        PadCropFlip(-1)
    with pytest.raises(ValueError, match="mode is 'wrap'"):
        PadCropFlip(mode="wrap")
    with pytest.raises(ValueError, match="size is 0"):
        Cutout(0)

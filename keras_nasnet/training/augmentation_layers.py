"""Keras layers that augment batches of images, on any backend and in training only.

Each layer takes uint8 or float images (batch, height, width, 3) and returns the same shape and dtype. Its random
numbers come from one `keras.random.SeedGenerator`, whose state is the layer's only state: a run that restores it goes
on with the same augmentation. Height and width must be known when the layer is called, the batch may vary.
"""

from typing import Any

import keras
from keras import ops


class AugmentationLayer(keras.layers.Layer):
    """The base of augmentation layers: a seed generator, and no change outside training.

    Args:
        seed: of its random numbers; default: a random one.
    """

    def __init__(self, seed: int | None = None, **kwargs: Any):
        # The images keep their dtype under any policy, uint8 too.
        super().__init__(**{"dtype": "float32", "autocast": False} | kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True  # no shape to wait for: JAX can call it statelessly at once

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"seed": self.seed}

    def call(self, images: Any, training: bool | None = None) -> Any:
        return self.augment(images) if training else images

    def augment(self, images: Any) -> Any:
        raise NotImplementedError

    def compute_output_shape(self, input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
        return input_shape

    def compute_output_spec(self, images: Any, training: bool | None = None) -> keras.KerasTensor:
        return keras.KerasTensor(images.shape, images.dtype)  # Keras' own would say float32

    def uniform(self, images: Any, low: float = 0.0, high: float = 1.0) -> Any:
        """Return a number of [low, high) for each image, float32 (batch, 1, 1, 1)."""
        return keras.random.uniform((ops.shape(images)[0], 1, 1, 1), low, high, "float32", seed=self.seed_generator)

    def integers(self, images: Any, stop: int) -> Any:
        """Return a whole number of 0..stop-1 for each image, int32 (batch, 1)."""
        return keras.random.randint((ops.shape(images)[0], 1), 0, stop, "int32", seed=self.seed_generator)


@keras.saving.register_keras_serializable("keras_nasnet")
class RandomFlip(AugmentationLayer):
    """Mirror each image left to right with probability 1/2.

    Args:
        seed: of its random numbers; default: a random one.
    """

    def augment(self, images: Any) -> Any:
        return ops.where(self.uniform(images) < 0.5, ops.flip(images, axis=2), images)


@keras.saving.register_keras_serializable("keras_nasnet")
class PadCropFlip(AugmentationLayer):
    """Pad all four sides, crop a window of the old size, and mirror it with probability 1/2: CIFAR's augmentation.

    Args:
        pad: pixels on each side.
        mode: "constant" pads with zeros (black), "reflect" mirrors the image without repeating its border.
        seed: of its random numbers; default: a random one.
    """

    def __init__(self, pad: int = 4, mode: str = "constant", seed: int | None = None, **kwargs: Any):
        super().__init__(seed, **kwargs)
        if pad < 0:
            raise ValueError(f"pad is {pad}: it must be 0 or more pixels")
        if mode not in ("constant", "reflect"):
            raise ValueError(f"mode is {mode!r}: choose constant or reflect")
        self.pad = pad
        self.mode = mode

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"pad": self.pad, "mode": self.mode}

    def augment(self, images: Any) -> Any:
        batch, (height, width) = ops.shape(images)[0], images.shape[1:3]
        padded = ops.pad(images, ((0, 0), (self.pad,) * 2, (self.pad,) * 2, (0, 0)), mode=self.mode)
        rows = self.integers(images, 2 * self.pad + 1) + ops.arange(height, dtype="int32")[None]
        across = ops.arange(width, dtype="int32")[None]
        flipped = self.integers(images, 2) == 1
        across = ops.where(flipped, width - 1 - across, across)
        columns = self.integers(images, 2 * self.pad + 1) + across
        # One gather of whole pixels from the flattened batch.
        padded_height, padded_width = height + 2 * self.pad, width + 2 * self.pad
        first = ops.arange(batch, dtype="int32")[:, None, None] * (padded_height * padded_width)
        index = first + rows[:, :, None] * padded_width + columns[:, None, :]
        return ops.take(ops.reshape(padded, (-1, padded.shape[-1])), index, axis=0)


@keras.saving.register_keras_serializable("keras_nasnet")
class Cutout(AugmentationLayer):
    """Fill one square of each image, its centre anywhere and clipped at the border (DeVries and Taylor 2017).

    Args:
        size: side of the square in pixels.
        fill: red, green and blue of the square in the images' units; the mean colour is 0 once normalised.
        seed: of its random numbers; default: a random one.
    """

    def __init__(
        self,
        size: int = 16,
        fill: tuple[float, float, float] = (0.0, 0.0, 0.0),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, **kwargs)
        if size < 1:
            raise ValueError(f"size is {size}: it must be 1 or more pixels")
        self.size = size
        self.fill = tuple(float(value) for value in fill)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"size": self.size, "fill": list(self.fill)}

    def augment(self, images: Any) -> Any:
        height, width = images.shape[1:3]
        rows, columns = self._covered(images, height), self._covered(images, width)
        square = ops.logical_and(rows[:, :, None, None], columns[:, None, :, None])
        dtype = keras.backend.standardize_dtype(images.dtype)
        fill = [round(value) for value in self.fill] if dtype == "uint8" else self.fill
        return ops.where(square, ops.convert_to_tensor(fill, dtype), images)

    def _covered(self, images: Any, side: int) -> Any:
        """Return which places along a side the squares cover, bool (batch, side)."""
        first = self.integers(images, side) - self.size // 2
        places = ops.arange(side, dtype="int32")[None]
        return ops.logical_and(places >= first, places < first + self.size)


@keras.saving.register_keras_serializable("keras_nasnet")
class ColorDistortion(AugmentationLayer):
    """Vary brightness, saturation and contrast of each image, in this order, as Inception does.

    Images are pixels 0..255; what leaves that range is clipped at the end. TF-slim's
    preprocessing also turns the hue and varies the order; neither is done here.

    Args:
        brightness: up to this part of the range, 255, is added or taken away.
        saturation: lowest and highest factor of each pixel's distance from its grey.
        contrast: lowest and highest factor of the distance from the image's mean colour.
        seed: of its random numbers; default: a random one.
    """

    def __init__(
        self,
        brightness: float = 32 / 255,
        saturation: tuple[float, float] = (0.5, 1.5),
        contrast: tuple[float, float] = (0.5, 1.5),
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(seed, **kwargs)
        self.brightness = brightness
        self.saturation = tuple(saturation)
        self.contrast = tuple(contrast)

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "brightness": self.brightness,
            "saturation": list(self.saturation),
            "contrast": list(self.contrast),
        }

    def augment(self, images: Any) -> Any:
        dtype = keras.backend.standardize_dtype(images.dtype)
        pixels = ops.cast(images, "float32")
        pixels = pixels + 255 * self.uniform(images, -self.brightness, self.brightness)
        grey = ops.sum(pixels * ops.convert_to_tensor([0.299, 0.587, 0.114], "float32"), axis=-1, keepdims=True)
        pixels = grey + (pixels - grey) * self.uniform(images, *self.saturation)
        mean = ops.mean(pixels, axis=(1, 2), keepdims=True)
        pixels = ops.clip(mean + (pixels - mean) * self.uniform(images, *self.contrast), 0, 255)
        return ops.cast(ops.round(pixels) if dtype == "uint8" else pixels, dtype)

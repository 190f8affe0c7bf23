"""What layers fold themselves with, so that none of them knows the network that is made."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol

import keras


class Folder(Protocol):
    """Make an equal network of plain layers, in which batch normalization is part of the convolutions.

    Every layer of a cell has a method `fold(folder, tensor)`, which returns what `call` would return without
    training, in the network that is being made. Tensors are symbolic. `keras_nasnet.inference.folding` has the one
    that there is.
    """

    def relu(self, tensor: Any) -> Any:
        """Return the ReLU of a tensor."""
        ...

    def convolution(self, layer: keras.layers.Layer, tensor: Any, **changes: Any) -> Any:
        """Apply a copy of a convolution.

        Args:
            layer: a `Conv2D` or `SeparableConv2D`.
            tensor: that it reads.
            **changes: arguments of the copy that differ from the layer's.
        """
        ...

    def batch_norm(self, layer: keras.layers.BatchNormalization, tensor: Any) -> Any:
        """Put a batch normalization into the convolutions that have just made a tensor, and which nobody has read.

        Raises:
            NotImplementedError: if something else made it.
        """
        ...

    def add(self, tensors: Sequence[Any]) -> Any:
        """Return the sum of tensors; those known to be zeros are left out."""
        ...

    def concatenate(self, tensors: Sequence[Any]) -> Any:
        """Return the tensors, joined along their channels."""
        ...

    def pool(self, kind: str, size: int, stride: int, padding: str, tensor: Any) -> Any:
        """Apply Keras' own pooling; `kind` is "average" or "max"."""
        ...

    def subsample_even(self, tensor: Any) -> Any:
        """Return every second row and column from the first one on."""
        ...

    def subsample_odd(self, tensor: Any) -> Any:
        """Return every second row and column from the second one on; a zero stands in past an odd border."""
        ...

    def zeros(self, layer: keras.layers.Layer, tensor: Any) -> Any:
        """Apply a copy of a layer that returns zeros, whatever it reads."""
        ...

    def layer(
        self, kind: str, make: Callable[..., keras.layers.Layer], tensor: Any, weights: Sequence[Any] = ()
    ) -> Any:
        """Apply a new layer.

        Args:
            kind: the layer's name but for a number.
            make: called with `name` and `dtype`, returns the layer.
            tensor: or tensors that it reads.
            weights: arrays that it gets.
        """
        ...

    def once(self, key: Hashable, tensor: Any, make: Callable[[], Any]) -> Any:
        """Return what `make` returned when it was first called for this key and this tensor."""
        ...

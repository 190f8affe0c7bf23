"""Which layers of a network are trained: by the names of its cells, with the batch normalization inside them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras

from keras_nasnet.accelerate.contents import all_layers

_STEM = ("stem_convolution", "stem_batch_norm")
STEM, FEATURES = "stem", "features"  # what `up_to` takes beside the names of cells


class Freezing:
    """Mixin of networks: freezes stem and cells up to one of them, and finds all batch normalization.

    Attributes:
        cell_names: names of the cells in order, as `freeze` and `get_layer` take them.
    """

    cell_names: Sequence[str]

    if TYPE_CHECKING:
        layers: list[Any]

    def freeze(self, up_to: int | str = FEATURES, batch_norms: bool = False) -> None:
        """Freeze the network up to a cell, and train what is behind it, whatever was frozen before.

        As everywhere in Keras, frozen batch normalization computes with its moving statistics, and keeps them, also
        in training; and a model that is compiled must be compiled again.

        Args:
            up_to: name of the last cell that is frozen, such as "cell_7" or "reduction_1"; 7 means "cell_7". "stem"
                freezes the convolution in front of the cells alone, "features" (the default) all but the classifiers.
            batch_norms: whether the batch normalization behind it is frozen too, as it should be for small batches.

        Raises:
            ValueError: if there is no such cell.

        Example:
            >>> network = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=48, stem="cifar", classes=3)
            >>> network.freeze()
            >>> [weight.path for weight in network.trainable_weights]
            ['predictions/kernel', 'predictions/bias']
            >>> network.freeze(up_to="cell_1")
            >>> [layer.name for layer in network.layers if layer.trainable and layer.weights]
            ['reduction_1', 'cell_2', 'predictions']
        """
        name = f"cell_{up_to}" if isinstance(up_to, int) and not isinstance(up_to, bool) else up_to
        places = (STEM, *self.cell_names)
        if name != FEATURES and name not in places:
            raise ValueError(f"up_to is {up_to!r}: choose from {', '.join((*places, FEATURES))}")
        cells = self.cell_names if name == FEATURES else places[1 : places.index(name) + 1]
        frozen = {*_STEM, *cells}
        names = [layer.name for layer in self.layers]
        self.unfreeze()
        for place, layer in enumerate(self.layers):
            if layer.name in frozen or place < names.index(_STEM[0]):
                layer.trainable = False
        if batch_norms:
            for layer in self.batch_norms():
                layer.trainable = False

    def unfreeze(self) -> None:
        """Train all layers, also those within cells.

        Example:
            >>> backbone = keras_nasnet.NASNetBackbone(num_blocks=1, penultimate_filters=192, trainable=False)
            >>> backbone.unfreeze()
            >>> len(backbone.trainable_weights) > 100
            True
        """
        for layer in (self, *all_layers(self)):  # each: TensorFlow passes nothing on where a flag stays as it is
            layer.trainable = True

    def batch_norms(self) -> list[keras.layers.BatchNormalization]:
        """Return all batch normalization of the network, also that within cells, which `layers` does not list.

        Example:
            >>> network = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=48, stem="cifar", classes=3)
            >>> for layer in network.batch_norms():
            ...     layer.trainable = False
            >>> any("gamma" in weight.path for weight in network.trainable_weights)
            False
        """
        return [layer for layer in all_layers(self) if isinstance(layer, keras.layers.BatchNormalization)]

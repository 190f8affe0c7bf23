"""What a weight format is: how its files are recognised, read and written. Imports Keras only to compare."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.accelerate.random_values import without_random_values

if TYPE_CHECKING:
    import keras

    from keras_nasnet.models.classifier import NASNet

StrPath = str | os.PathLike[str]


class WeightFormat:
    """A format of files with the weights of a `NASNet`.

    A subclass says what its files are called and how they are read, and if it can, written. An instance of it is
    added to `WEIGHT_FORMATS`: with `register`, as an entry point of the group "keras_nasnet.weight_format", or here
    as a row.

    Attributes:
        suffixes: how the names of its files end. The first format that `recognises` a file reads it: of those that
            its name says, then of all others.
        written: the suffixes that `write` writes; empty for a format that is only read.
        pool_padding: with which a network has the outputs of the code that the format comes from; None for a format
            that is nobody else's.
        is_own: whether it is the package's own, from which nothing is converted.
        is_whole: whether a file says of which network the weights are.

    Example:
        >>> class Npz(WeightFormat):
        ...     suffixes = written = (".npz",)
        ...
        ...     def read(self, path, model, moving_averages=True):
        ...         with np.load(path) as tensors:
        ...             for variable in model.weights:
        ...                 variable.assign(tensors[variable.path])
        ...
        ...     def write(self, model, path):
        ...         np.savez(path, **{variable.path: variable.numpy() for variable in model.weights})
        >>> WEIGHT_FORMATS.register("npz", Npz())
        >>> network = keras_nasnet.NASNet(num_blocks=1, penultimate_filters=96, stem="cifar", classes=3)
        >>> save_weights(network, "network.npz")
        >>> load_weights("network.npz", network)
    """

    suffixes: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    pool_padding: str | None = None
    is_own = False
    is_whole = False

    def recognises(self, path: StrPath) -> bool:
        """Return whether a file is one of this format; unless a format says otherwise, its name decides.

        Raises:
            ValueError: if it cannot be read.
        """
        return os.fspath(path).endswith(self.suffixes)

    def read(self, path: StrPath, model: "keras.Model", moving_averages: bool = True) -> None:
        """Fill a network from a file.

        Args:
            path: of the file.
            model: a `NASNet`, or a `NASNetBackbone`; it may lack classifiers that the file has.
            moving_averages: whether to take the moving averages of the weights, where a file has both.

        Raises:
            ValueError: if the file cannot be read, or is not for this network, which is left as it was.
        """
        raise NotImplementedError

    def write(self, model: "NASNet", path: Path) -> None:
        """Write a network's weights into a new file.

        Raises:
            ValueError: if the format has no such network.
            OSError: if the file cannot be written.
        """
        raise NotImplementedError

    def holds(self, path: Path, model: "NASNet") -> bool:
        """Return whether a file that was written holds the network's weights, to the last bit."""
        from keras_nasnet.models.classifier import NASNet
        from keras_nasnet.zoo.formats.assign import network_config, same_weights

        with without_random_values():
            found = NASNet(**network_config(model))
        self.read(path, found)
        return same_weights(found, model)

"""Features of images, the numbers in front of a network's classifier, in memory or as a file."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.common.files import StrPath, replacing
from keras_nasnet.common.images import SUFFIXES, find_images
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.common.run_folder import output
from keras_nasnet.zoo import loading

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

FORMATS = (".npz", ".parquet")
SPLITS = ("train", "val", "validation", "valid", "test")  # folders that hold class folders
BATCH = 32


@dataclass(frozen=True)
class Features:
    """Features of images.

    Args:
        features: float32 (images, channels), averaged over height and width.
        paths: of the images.
        labels: of the images: the names of their class folders, "" where there is none.
        problems: a line for each image that was left out.

    Example:
        >>> features = Features(np.zeros((2, 64), "float32"), ("cat/1.png", "dog/2.png"), ("cat", "dog"))
        >>> features.save("features.npz")
        >>> np.load("features.npz")["labels"].tolist()
        ['cat', 'dog']
    """

    features: np.ndarray
    paths: tuple[str, ...]
    labels: tuple[str, ...]
    problems: tuple[str, ...] = ()

    def save(self, path: StrPath) -> None:
        """Write a .npz file (arrays features, paths, labels) or a .parquet file (columns path, label, features).

        The file appears when it is whole.

        Raises:
            ValueError: if `path` ends in neither, or pyarrow is missing; see `check_format`.
        """
        check_format(path)
        with replacing(path) as temporary:
            if temporary.suffix == ".npz":
                np.savez(temporary, features=self.features, paths=np.array(self.paths), labels=np.array(self.labels))
            else:
                self._write_parquet(temporary)

    def _write_parquet(self, path: Path) -> None:
        import pyarrow
        from pyarrow import parquet

        rows = pyarrow.FixedSizeListArray.from_arrays(self.features.ravel(), self.features.shape[1])
        # Names that are no UTF-8 are no text there.
        paths, labels = (
            [name.encode(errors="backslashreplace").decode() for name in names] for names in (self.paths, self.labels)
        )
        columns = {"path": paths, "label": labels, "features": rows}
        parquet.write_table(pyarrow.table(columns), path)


def check_format(path: StrPath) -> None:
    """Raise ValueError if features cannot be written to a file of this name."""
    suffix = Path(path).suffix
    if suffix not in FORMATS:
        raise ValueError(f"{os.fspath(path)}: the file's name must end in {' or '.join(FORMATS)}")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise ValueError(
                f"{os.fspath(path)}: Parquet needs pyarrow: pip install 'keras-nasnet[parquet]', or write .npz"
            ) from None


def extract_features(
    model: "StrPath | NASNet",
    images: StrPath | Iterable[StrPath],
    out: StrPath | None = None,
    *,
    image_size: int | tuple[int, int] | None = None,
    say: Callable[[str], None] | None = None,
) -> Features:
    """Return the features of images: the numbers in front of a network's classifier.

    Args:
        model: anything that `keras_nasnet.load` takes.
        images: files and folders, of which all images below are taken in order of name. Of a
            folder of class folders, or of such folders in train/ and val/, the labels are the
            names of the class folders.
        out: a .npz or .parquet file to write as well, see `Features.save`.
        image_size: side, or (height, width), in pixels to which the images are cropped and
            scaled; default: the model's own, 224 where it takes any.
        say: called with a line of text for each image that cannot be read and is left out; default: these lines
            are in the result's `problems` only.

    Raises:
        ValueError: if there is no such model or path, no image, or none that can be read, or
            `out` is no such file.

    Example:
        >>> cell = CellSpec((Block((0, 1), ("max_pool_3x3", "identity")),), outputs=((2,),))
        >>> network = NASNet(Genotype(cell, cell), num_blocks=1, penultimate_filters=48, stem="cifar", classes=10)
        >>> from PIL import Image
        >>> for color in ("red", "blue"):
        ...     Image.new("RGB", (40, 40), color).save(f"{color}.png")
        >>> features = extract_features(network, ["red.png", "blue.png"], image_size=32)
        >>> features.features.shape
        (2, 48)
        >>> features.paths
        ('red.png', 'blue.png')
    """
    if out is not None:
        check_format(out)
        with output(out):
            extracted = extract_features(model, images, image_size=image_size, say=say)
            extracted.save(out)
            return extracted
    found = list_images(images)
    network = _body(loading.load(model), image_size)
    features, paths, labels, problems = [], [], [], []
    for batch in _batches(network, found):
        inputs = []
        for path, label, result in batch:
            if isinstance(result, ValueError):
                problems.append(f"{result}; left out")
                if say:
                    say(problems[-1])
            else:
                inputs.append(result)
                paths.append(os.fspath(path))
                labels.append(label)
        if inputs:
            features.append(_run(network, np.concatenate(inputs)))
    if not features:
        raise ValueError(f"none of {len(found)} images can be read; the first: {problems[0]}")
    return Features(np.concatenate(features), tuple(paths), tuple(labels), tuple(problems))


def list_images(images: StrPath | Iterable[StrPath]) -> list[tuple[Path, str]]:
    """Return the images of files and folders, each with its label.

    Raises:
        ValueError: if a path does not exist, or there are no images.
    """
    found = []
    for place in [images] if isinstance(images, str | os.PathLike) else images:
        place = Path(place)
        if not place.exists():
            raise ValueError(f"{place}: no such file or folder")
        inside = find_images([place])
        if not inside:
            raise ValueError(f"{place}: no images in this folder ({', '.join(SUFFIXES)})")
        found += [(path, _label(path.relative_to(place)) if place.is_dir() else "") for path in inside]
    if not found:
        raise ValueError("there are no images: give files or folders")
    return found


def _label(path: Path) -> str:
    folders = path.parts[:-1]
    if folders and folders[0] in SPLITS:
        folders = folders[1:]
    return folders[0] if folders else ""


def _body(model: "NASNet", image_size: int | tuple[int, int] | None) -> "NASNet":
    """Return the network without its classifier, for images of one size, with the same weights."""
    from keras_nasnet.models.body import MIN_SIZE
    from keras_nasnet.models.classifier import NASNet
    from keras_nasnet.models.weights import copy_weights

    if image_size is None:
        image_size = (model.preprocessing.height or 224, model.preprocessing.width or 224)
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    if min(height, width) < MIN_SIZE:
        raise ValueError(f"image_size is {height}x{width}: images must be at least {MIN_SIZE}x{MIN_SIZE}")
    channels_first = model.get_config()["data_format"] == "channels_first"
    options: dict[str, Any] = {
        "include_top": False,
        "pooling": "avg",
        "auxiliary_head": False,
        "input_shape": (3, height, width) if channels_first else (height, width, 3),
        "preprocessing": replace(model.preprocessing, height=height, width=width),
    }
    network = NASNet(**(model.get_config() | options))
    copy_weights(model, network)
    return network


def _batches(
    network: "NASNet", found: Sequence[tuple[Path, str]]
) -> Iterator[list[tuple[Path, str, np.ndarray | ValueError]]]:
    def read(image: tuple[Path, str]) -> np.ndarray | ValueError:
        try:
            return network.preprocess(image[0])
        except ValueError as error:
            return error

    chunks = (found[start : start + BATCH] for start in range(0, len(found), BATCH))
    for chunk, results in read_ahead(chunks, read):
        yield [(path, label, result) for (path, label), result in zip(chunk, results, strict=True)]


def _run(network: "NASNet", batch: np.ndarray) -> np.ndarray:
    import keras

    # Called, not predicted: a new batch size costs no compilation.
    return keras.ops.convert_to_numpy(network(batch, training=False)).astype(np.float32)

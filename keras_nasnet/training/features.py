"""Features of images, the numbers in front of a network's classifier, in memory or as a file."""

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import StrPath, replacing
from keras_nasnet.common.image_folders import find_images
from keras_nasnet.common.images import read_fitted
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.common.run_folder import output
from keras_nasnet.data.class_folders import folder_labels
from keras_nasnet.data.label_tables import read_label_table
from keras_nasnet.data.labelled_images import LabelledImages, open_all_splits
from keras_nasnet.data.split import is_tfds
from keras_nasnet.zoo import loading

if TYPE_CHECKING:
    from keras_nasnet.models.classifier import NASNet

FORMATS = (".npz", ".parquet")
BATCH = 32


@dataclass(frozen=True)
class Features:
    """Features of images.

    Args:
        features: float32 (images, channels), averaged over height and width.
        paths: of the images.
        labels: of the images: the names of their class folders, "" where there is none.
        problems: lines for what was left out.

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
    labels: StrPath | None = None,
    label_columns: Sequence[str] | None = None,
    data_dir: str | None = None,
    say: Callable[[str], None] | None = None,
) -> Features:
    """Return the features of images: the numbers in front of a network's classifier.

    Args:
        model: anything that `keras_nasnet.load` takes.
        images: files, folders, of which all images below are taken in order of name, and "tfds:NAME", all splits of a
            prepared set of tensorflow-datasets. Of a folder of class folders, or of such folders in train/ and val/,
            the labels are the names of the class folders.
        out: a .npz or .parquet file to write as well, see `Features.save`.
        image_size: side, or (height, width), in pixels to which the images are cropped and
            scaled; default: the model's own, 224 where it takes any.
        labels: a table with a path and a label in each row, for images that lie flat in one folder; those without a
            row are left out. `open_dataset` says more.
        label_columns: names of its columns of paths and labels; default: the usual ones.
        data_dir: where tensorflow-datasets keeps its data; default: its own choice.
        say: called with a line of text for what is left out; default: these lines are in the result's `problems` only.

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
            extracted = extract_features(
                model,
                images,
                image_size=image_size,
                labels=labels,
                label_columns=label_columns,
                data_dir=data_dir,
                say=say,
            )
            extracted.save(out)
            return extracted
    found = list_images(images, labels, label_columns, data_dir)
    network = _body(loading.load(model), image_size)
    features, paths, names, problems = [], [], [], []

    def note(problem: str) -> None:
        problems.append(problem)
        if say:
            say(problem)

    for problem in found.problems:
        note(problem)
    count = 0
    for batch in _batches(network, found.images):
        count += len(batch)
        inputs = []
        for image, result in batch:
            if isinstance(result, ValueError):
                note(f"{one_line(result)}; left out")
            else:
                inputs.append(result)
                paths.append(image.name)
                names.append(image.label)
        if inputs:
            features.append(_run(network, np.concatenate(inputs)))
    if not features:
        raise ValueError(f"none of {count} images can be read; the first: {problems[len(found.problems)]}")
    return Features(np.concatenate(features), tuple(paths), tuple(names), tuple(problems))


class ImageToRead(NamedTuple):
    """An image that is not decoded yet: its path or open file, its name, and its label, "" where there is none."""

    file: Path | BinaryIO
    name: str
    label: str


@dataclass(frozen=True)
class ImagesToRead:
    """Images that are not decoded yet, and a line for what was left out."""

    images: Iterable[ImageToRead]
    problems: tuple[str, ...] = ()


def list_images(
    images: StrPath | Iterable[StrPath],
    labels: StrPath | None = None,
    label_columns: Sequence[str] | None = None,
    data_dir: str | None = None,
) -> ImagesToRead:
    """Return the images of files, folders and sets of tensorflow-datasets, each with its label.

    Raises:
        ValueError: if a path does not exist, or there are no images.
    """
    places = [images] if isinstance(images, str | os.PathLike) else list(images)
    if not places:
        raise ValueError("there are no images: give files or folders")
    if labels is not None:
        if len(places) != 1 or not Path(places[0]).is_dir():
            raise ValueError(f"{labels}: a table of labels is for the images of one folder")
        parts = read_label_table(labels, Path(places[0]), label_columns).values()
        found = [
            ImageToRead(path, os.fspath(path), part.class_names[label])
            for part in parts
            for path, label in zip(part.paths, part.labels.tolist(), strict=True)
        ]
        return ImagesToRead(found, tuple(problem for part in parts for problem in part.problems))
    lists = [_list_place(place, data_dir) for place in places]
    problems = tuple(problem for one in lists for problem in one.problems)
    return ImagesToRead(_Chained([one.images for one in lists]), problems)


class _Chained:
    """Images one list after the other, as often as they are asked for."""

    def __init__(self, parts: Sequence[Iterable[ImageToRead]]):
        self._parts = parts

    def __iter__(self) -> Iterator[ImageToRead]:
        return itertools.chain.from_iterable(self._parts)


def _list_place(place: StrPath, data_dir: str | None) -> ImagesToRead:
    if is_tfds(place):
        return ImagesToRead(_TfdsImages(open_all_splits(os.fspath(place), data_dir)))
    listing = find_images(place)
    folder = Path(place)
    labels = folder_labels(folder, listing.images) if folder.is_dir() else [""]
    found = [ImageToRead(path, os.fspath(path), label) for path, label in zip(listing.images, labels, strict=True)]
    return ImagesToRead(found, tuple(listing.problems()))


class _TfdsImages:
    """All splits of a set of tensorflow-datasets, streamed anew each time."""

    def __init__(self, splits: Sequence[LabelledImages]):
        self._splits = splits

    def __iter__(self) -> Iterator[ImageToRead]:
        for split in self._splits:
            for image in split:
                yield ImageToRead(image.file, image.name, split.class_names[image.label] if image.label >= 0 else "")


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
    network = NASNet(**(model.arguments() | options))
    copy_weights(model, network)
    return network


def _batches(
    network: "NASNet", found: Iterable[ImageToRead]
) -> Iterator[list[tuple[ImageToRead, np.ndarray | ValueError]]]:
    def read(image: ImageToRead) -> np.ndarray | ValueError:
        try:
            if isinstance(image.file, Path):
                return network.preprocess(image.file)
            return read_fitted(image.file, network.preprocess, image.name)
        except ValueError as error:
            return error

    upcoming = iter(found)
    chunks = iter(lambda: list(itertools.islice(upcoming, BATCH)), [])
    for chunk, results in read_ahead(chunks, read):
        yield list(zip(chunk, results, strict=True))


def _run(network: "NASNet", batch: np.ndarray) -> np.ndarray:
    import keras

    # Called, not predicted: a new batch size costs no compilation.
    return keras.ops.convert_to_numpy(network(batch, training=False)).astype(np.float32)

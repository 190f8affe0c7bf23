"""Exports: a network as a file of another runtime, loaded again and compared before it appears."""

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.accelerate.quiet import quiet
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import check_room, temporary_folder
from keras_nasnet.common.images import Preprocessing
from keras_nasnet.common.run_folder import output
from keras_nasnet.inference.comparison import Comparison, compare
from keras_nasnet.inference.formats.format import Format, Signature
from keras_nasnet.inference.formats.registry import FORMATS
from keras_nasnet.inference.real_images import ImageFolder, photographs

if TYPE_CHECKING:
    from keras_nasnet.inference.folding import FoldedNASNet
    from keras_nasnet.models.classifier import NASNet

WEIGHTS = "weights"  # for `int8`, in place of a folder
_BYTES = 4  # of a weight
_ANY = (224, 224)  # of the images on which a network of any size is compared
_COMPARED = 64  # images of a calibration on which an int8 export is compared


def export(
    model: "NASNet | FoldedNASNet",
    to: str,
    path: str | os.PathLike[str],
    *,
    fold: bool = True,
    dynamic_batch: bool = True,
    dynamic_size: bool = False,
    int8: str | os.PathLike[str] | None = None,
    compared: Callable[[Comparison], None] | None = None,
) -> Path:
    """Write a classifier for another runtime.

    The file takes preprocessed images, float32 (batch, height, width, 3), and returns probabilities (batch,
    classes); it carries the constants of the preprocessing and the names of the classes. It appears under its
    name when it was loaded again by its runtime and its probabilities of real images are the network's, but
    for 1e-4 of the largest; one in int8 is only compared.

    Args:
        model: a NASNet with a classifier.
        to: "onnx", "openvino", "litert", "saved_model", "keras", or another name of `FORMATS`.
        path: to be written: a file that ends in .onnx, .xml (its weights beside it, as .bin), .tflite or .keras;
            a folder for a SavedModel.
        fold: whether batch normalization is folded into the convolutions, see `folding.fold`.
        dynamic_batch: whether any number of images can be given at once, else one.
        dynamic_size: whether images may be of any size from 32x32 up, else of the network's own.
        int8: the folder of images on which the ranges of 8-bit activations are measured, some hundred such as
            the network will see; or "weights", for 8-bit weights alone. Default: float32.
        compared: called with how the export compares with the network.

    Returns:
        The path.

    Raises:
        TypeError: for another model.
        ValueError: if the path is there already or is not the format's, the model has no classifier or no size of its
            own, the format knows no such int8, Keras runs on another backend than TensorFlow, or the export
            differs from the network.
        ImportError: if the runtime is not installed; names the extra.
        OSError: if it cannot be written, as on a full disk; nothing is left then.

    Example:
        >>> network = {"num_blocks": 1, "penultimate_filters": 96, "stem": "cifar", "classes": 3}
        >>> export(keras_nasnet.NASNet(**network), "keras", "small.keras").name
        'small.keras'
    """
    form = FORMATS.get(to)
    path = Path(path)
    check(to, path, int8, dynamic_batch=dynamic_batch, dynamic_size=dynamic_size)
    import keras

    from keras_nasnet.inference.formats import classifier

    if form.converts and keras.backend.backend() != "tensorflow":
        raise ValueError(
            f"{to} is exported on Keras' TensorFlow backend, not on {keras.backend.backend()}: "
            "set KERAS_BACKEND=tensorflow"
        )
    classifier.check(model)
    assert model.preprocessing is not None
    size = _size(model)
    if size is None and not dynamic_size and form.converts:
        raise ValueError(f"{model.name} takes images of any size: export it so (--dynamic-size)")
    height, width = size or _ANY
    example = dataclasses.replace(model.preprocessing, height=height, width=width)
    kind = None if int8 is None else "weights" if int8 == WEIGHTS else "full"
    signature = Signature(
        batch=None if dynamic_batch else 1,
        height=None if dynamic_size or size is None else height,
        width=None if dynamic_size or size is None else width,
        metadata=classifier.metadata(model)
        | {"preprocessing": (model.preprocessing if dynamic_size else example).to_dict(), "int8": kind},
        calibration=ImageFolder(str(int8), example) if kind == "full" else None,
    )
    exact = classifier.rebuilt(model, signature.height, signature.width)
    network = classifier.folded(exact) if fold else exact
    if form.converts:
        network = classifier.with_probabilities(network, signature.shape)
    own = classifier.with_probabilities(exact, (None, *signature.shape[1:]))
    with output(path), temporary_folder(path) as temporary:
        _check_is_free(form, path)  # still
        written = temporary / path.name
        with _where_there_is_room(temporary, _BYTES * model.count_params(), path), quiet():
            form.write(network, written, signature)
            runner = form.read(written)
            comparison = compare(own, runner, _batches(example, signature), exact=kind is None)
            form.verify(runner, example)
        if compared is not None:
            compared(comparison)
        _move(form.files(written), form.files(path))
    return path


def check(to: str, path: str | os.PathLike[str], int8: str | os.PathLike[str] | None = None, **options: Any) -> None:
    """Check what can be wrong before Keras is imported, which takes seconds.

    Args:
        to: as `export` takes it, and so are the others.
        path: likewise.
        int8: likewise.
        options: `dynamic_batch` and `dynamic_size`, likewise.

    Raises:
        ValueError, ImportError: as `export` does.
    """
    form, path = FORMATS.get(to), Path(path)
    if path.suffix != form.suffix and form.suffix:
        raise ValueError(f"{path}: the name of an {to} export ends in {form.suffix}")
    _check_is_free(form, path)
    if not form.converts and (options.get("dynamic_size") or not options.get("dynamic_batch", True)):
        raise ValueError("a Keras file takes the network's own sizes and any number of images: leave both as they are")
    if int8 is not None:
        kind = "weights" if int8 == WEIGHTS else "full"
        if kind not in form.int8:
            able = [other for other in FORMATS if kind in FORMATS.get(other).int8]
            raise ValueError(f"{to} knows no int8 of this kind ({kind}): {' and '.join(able)} do")
        if kind == "full" and not Path(int8).is_dir():
            raise ValueError(f"{int8}: no such folder of images to calibrate on")
    form.require(writing=True, int8=int8 is not None)


def _check_is_free(form: Format, path: Path) -> None:
    """Raise ValueError if something is there already, or nothing can be."""
    for file in form.files(path):
        try:
            os.lstat(file)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ValueError(f"{file}: {error.strerror}") from None
        raise ValueError(f"{file} is there already: delete it or choose another name")


@contextlib.contextmanager
def _where_there_is_room(folder: Path, size: int, path: Path) -> Iterator[None]:
    """Raise OSError for whatever goes wrong in the block because files cannot be written; a runtime has its own words.

    Args:
        folder: in which is written.
        size: in bytes, about what is written.
        path: by which the error calls it.
    """
    try:
        check_room(folder, size)
        try:
            yield
        except Exception:
            check_room(folder, size)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror or one_line(error), str(path)) from error


def _move(sources: Sequence[Path], targets: Sequence[Path]) -> None:
    """Move all files, or none."""
    moved = []
    try:
        for source, target in zip(sources, targets, strict=True):
            os.replace(source, target)
            moved.append(target)
    except BaseException:
        for target in moved:
            target.unlink()
        raise


def _size(model: Any) -> tuple[int, int] | None:
    """The network's own height and width, or None."""
    shape = model.input_shape[2:] if model.input_shape[1] == 3 else model.input_shape[1:3]
    if None in shape:
        shape = (model.preprocessing.height, model.preprocessing.width)
    return None if None in shape else (shape[0], shape[1])


def _batches(example: Preprocessing, signature: Signature) -> Iterator[np.ndarray]:
    """Preprocessed real images, of two sizes if any size is taken."""
    if signature.calibration is not None:
        yield from itertools.islice(signature.calibration, _COMPARED)
        return
    images = photographs()
    yield example(images)
    if signature.height is None:
        assert example.height is not None and example.width is not None
        yield dataclasses.replace(example, height=example.height + 19, width=example.width + 6)(images[:1])

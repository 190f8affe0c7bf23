"""The job behind `detect predict`: finds what is on photographs and video frames, and draws it."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from keras_nasnet.common.files import replacing
from keras_nasnet.common.image_folders import find_images
from keras_nasnet.common.images import read_header, read_image
from keras_nasnet.common.reading import read_ahead
from keras_nasnet.detection.detections import Detections
from keras_nasnet.detection.drawing import draw

StrPath = str | os.PathLike[str]

BATCH = 8
BATCH_PIXELS = 2**27  # of all images of a batch: eight of 16 million, or one of any size that is read
JPEG_QUALITY = 90


class Detector(Protocol):
    """What finds things on images: a `FasterRCNN`, or anything like it."""

    class_names: tuple[str, ...]

    def predict(self, images: list[np.ndarray]) -> Sequence[Detections]:
        """Return what is on each of some uint8 arrays (height, width, 3)."""


@dataclass(frozen=True)
class FileDetections:
    """What was found on the image of one file.

    Args:
        path: of the file.
        detections: in pixels of the upright image; or what is wrong with the file.
        size: width and height in pixels of the upright image; zeros where it could not be read.
        drawn: the picture with the boxes, if one was asked for.

    Example:
        >>> from pathlib import Path
        >>> found = Detections([[40, 60, 160, 120]], scores=[0.9], classes=[0], class_names=("cat",))
        >>> result = FileDetections(Path("photo.jpg"), found, size=(320, 240))
        >>> len(result.detections)
        1
    """

    path: Path
    detections: Detections | ValueError
    size: tuple[int, int] = (0, 0)
    drawn: Path | None = None


def predict_files(
    model: Detector,
    paths: Iterable[StrPath],
    threshold: float = 0.5,
    draw_folder: StrPath | None = None,
    top: int | None = None,
    batch: int = BATCH,
) -> Iterator[FileDetections]:
    """Yield what a detector finds on image files, in order; files that cannot be read with what is wrong.

    EXIF orientation is applied: boxes, sizes and pictures are those of the upright image. Holds at most
    two batches of images: while the model computes on one, the next is read.

    Args:
        model: a `FasterRCNN`, or anything else with `predict` and `class_names`.
        paths: images, and folders of which all images below are taken, see `list_images`.
        threshold: boxes of lower scores are left out.
        draw_folder: gets a JPEG file for each image, with the boxes drawn; it is made if it is missing.
        top: at most so many boxes an image, those of the highest scores; default: all.
        batch: how many images the model gets at once.

    Raises:
        ValueError: if there is no such path, a folder without images, a picture would overwrite an image,
            or an option is out of range.
        OSError: if a picture cannot be written.

    Example:
        >>> from PIL import Image
        >>> class Everywhere:
        ...     "Finds a cat that fills the image; `FasterRCNN.load` gives one that looks."
        ...     class_names = ("cat",)
        ...     def predict(self, images):
        ...         return [Detections([[0, 0, *image.shape[1::-1]]], [0.9], [0], ("cat",)) for image in images]
        >>> Image.new("RGB", (40, 30)).save("photo.png")
        >>> for result in predict_files(Everywhere(), ["photo.png"], draw_folder="drawn"):
        ...     print(result.path, result.detections.labels(), result.drawn)
        photo.png ['cat 0.90'] drawn/photo.jpg
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"the threshold is {threshold}: it must be from 0 to 1")
    for name, value in (("top", top), ("batch", batch)):
        if value is not None and value < 1:
            raise ValueError(f"{name} is {value}: it must be 1 or more")
    images = list_images(paths, draw_folder)
    return _predict(model, images, threshold, None if draw_folder is None else Path(draw_folder), top, batch)


@dataclass(frozen=True)
class ImageFile:
    """An image, and the name of its picture below the folder of the drawn ones.

    Args:
        path: of the file.
        picture: relative path of a .jpg file, that no other image of the list has.
    """

    path: Path
    picture: Path


def list_images(
    paths: Iterable[StrPath], draw_folder: StrPath | None = None, say: Callable[[str], None] | None = None
) -> list[ImageFile]:
    """Return the given images, and the images below the given folders in natural order: frame_2 before frame_10.

    A picture is called as its image is, with the folders between it and the folder that was given. Where two
    would be called the same, as photo.png and photo.jpg, they keep their endings: photo.png.jpg, photo.jpg.jpg;
    and where that does not help, as with a/1.png and b/1.png, the later ones are numbered.

    Args:
        paths: of images and folders; an image that is given twice is taken once.
        draw_folder: where pictures will be drawn; what is in it is not taken with a folder above it.
        say: called with a line for what folders hold beside images.

    Raises:
        ValueError: if there is no such path, a folder without images, or a picture would overwrite an image.
    """
    found: dict[Path, Path] = {}  # the image's path: that of its picture, still with the image's ending
    for path in paths:
        listing = find_images(path)
        path = Path(path)
        if not path.is_dir():
            found.setdefault(path, Path(path.name))
            continue
        if say is not None:
            for problem in listing.problems():
                say(problem)
        below = [image for image in listing.images if not _drawn_before(image, path, draw_folder)]
        if not below:
            raise ValueError(f"{path}: no images in this folder but those drawn before")
        for image in sorted(below, key=_natural):
            found.setdefault(image, image.relative_to(path))
    images = [ImageFile(image, picture) for image, picture in zip(found, _pictures(found.values()), strict=True)]
    if draw_folder is not None:
        originals = {image.resolve() for image in found}
        for picture in (Path(draw_folder) / image.picture for image in images):
            if picture.resolve() in originals:
                raise ValueError(f"{picture} would be overwritten: draw into another folder")
    return images


def _drawn_before(image: Path, folder: Path, draw_folder: StrPath | None) -> bool:
    """Whether an image below a folder lies in the folder of pictures, as those of an earlier run do."""
    if draw_folder is None:
        return False
    drawn = Path(draw_folder).resolve()
    return drawn != folder.resolve() and drawn in image.resolve().parents and drawn not in folder.resolve().parents


def _natural(path: Path) -> tuple[list[list[str | int]], str]:
    """Numbers in names are compared as numbers; the name itself decides between 1 and 01."""
    parts = [re.split("([0-9]+)", part) for part in path.parts]
    return [[int(text) if place % 2 else text for place, text in enumerate(part)] for part in parts], str(path)


def _pictures(names: Iterable[Path]) -> list[Path]:
    # Without case, as some file systems are.
    names = list(names)
    stems = Counter(str(name.with_suffix("")).casefold() for name in names)
    pictures: list[Path] = []
    taken: set[str] = set()
    for name in names:
        alone = stems[str(name.with_suffix("")).casefold()] == 1
        whole = name.with_suffix("") if alone else name
        candidates = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
        picture = next(
            picture
            for end in candidates
            if str(picture := whole.with_name(f"{whole.name}{end}.jpg")).casefold() not in taken
        )
        taken.add(str(picture).casefold())
        pictures.append(picture)
    return pictures


def _predict(
    model: Detector,
    images: Iterable[ImageFile],
    threshold: float,
    draw_folder: Path | None,
    top: int | None,
    batch: int,
) -> Iterator[FileDetections]:
    for files, contents in read_ahead(_batches(images, batch), lambda file: _read(file.path), held=2):
        readable = [image for image in contents if isinstance(image, Image.Image)]
        found = iter(model.predict([np.asarray(image) for image in readable]) if readable else ())
        for file, image in zip(files, contents, strict=True):
            if isinstance(image, ValueError):
                yield FileDetections(file.path, image)
                continue
            detections = next(found).above(threshold)
            if top is not None:
                detections = detections.top(top)
            drawn = None
            if draw_folder is not None:
                drawn = draw_folder / file.picture
                _write_jpeg(draw(image, detections), drawn)
            yield FileDetections(file.path, detections, image.size, drawn)


def _batches(images: Iterable[ImageFile], most: int) -> Iterator[list[ImageFile]]:
    """Yield batches, smaller ones of images so large that more would take too much memory."""
    batch: list[ImageFile] = []
    pixels = 0
    for image in images:
        try:
            header = read_header(image.path)
            count = header.width * header.height
        except ValueError:  # which is said when it is read
            count = 0
        if batch and (len(batch) == most or pixels + count > BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(image)
        pixels += count
    if batch:
        yield batch


def _read(path: Path) -> Image.Image | ValueError:
    try:
        return read_image(path)
    except ValueError as error:
        return error


def _write_jpeg(picture: Image.Image, path: Path) -> None:
    """Write a picture; the file appears when it is whole."""
    with replacing(path) as temporary:
        picture.save(temporary, "JPEG", quality=JPEG_QUALITY, subsampling=0)  # coloured letters stay sharp

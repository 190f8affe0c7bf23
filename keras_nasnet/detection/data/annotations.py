"""Reads annotated images, as COCO, Pascal VOC or YOLO has them. Imports no TensorFlow."""

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import shown
from keras_nasnet.detection.data import coco, lists, pascal_voc, sources, yolo
from keras_nasnet.detection.data.checks import ImageEntry, checked_images
from keras_nasnet.detection.data.dataset import NOTES, AnnotatedImage, Box, DetectionDataset, Problem
from keras_nasnet.detection.data.finder import Folder
from keras_nasnet.detection.data.sources import Source

__all__ = ["AnnotatedImage", "Box", "DetectionDataset", "Problem", "read_dataset", "read_splits", "split_dataset"]

EXIF = ("apply", "ignore")


def read_dataset(
    path: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    strict: bool = False,
    class_names: Sequence[str] | None = None,
    exif: str | None = None,
) -> DetectionDataset:
    """Read the annotations of a dataset, check them, and decode each image once.

    Boxes of the result refer to the pixels as they lie in the file, whatever its EXIF orientation;
    `AnnotatedImage.orientation` says how these are turned upright, as training does. Pascal VOC's
    difficult objects are boxes like others. An image of which all boxes are dropped is dropped.

    Args:
        path: a COCO JSON file; YOLO's data.yaml; a folder with one of them, COCO's also in its folder
            `annotations`; or a folder with Pascal VOC XML files anywhere below it.
        images: folder of the image files, in which links are followed. By default images are looked
            for in the folder of the dataset, and no file outside is read: where the annotations say
            first, then in the folder that a COCO file is named after (instances_NAME.json: NAME),
            beside it, in `images` or `JPEGImages`, then anywhere below. Names are read as systems and
            tools write them; the longest end of a path decides between files of one name.
        strict: whether any problem is an error, but for `NOTES`.
        class_names: by which boxes are counted, for example those of a model; default: the
            dataset's own, in order of category id, of the alphabet for Pascal VOC, or as in data.yaml.
        exif: "apply" if the boxes are those of images turned upright by EXIF orientation, "ignore" if
            they are those of the pixels as stored. Default: the size that the annotations claim
            decides for each image; where it cannot, the image is taken for upright, and named.

    Returns:
        The images in order of the JSON or of the XML paths, without what its problems say was dropped.

    Raises:
        ValueError: if there is no dataset, nothing is left of it, or it has problems and `strict` is set.

    Example:
        >>> import json
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("RGB", (40, 30)).save("a.jpg")
        >>> content = {
        ...     "images": [{"id": 10, "file_name": "a.jpg"}],
        ...     "annotations": [{"id": 1, "image_id": 10, "category_id": 3, "bbox": [5, 6, 10, 12.5]}],
        ...     "categories": [{"id": 3, "name": "cat"}],
        ... }
        >>> _ = Path("coco.json").write_text(json.dumps(content))
        >>> dataset = read_dataset("coco.json")
        >>> dataset.class_names, len(dataset.images), dataset.problems
        (('cat',), 1, ())
    """
    path, reader = Path(path), _Reader(images, strict, exif)
    with _reading(path):
        path = sources.inner(path)
        return reader.read(sources.find(path), path, class_names)[0]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What the system refuses is the input's fault."""
    try:
        yield
    except OSError as error:
        raise ValueError(f"{error.filename or path}: cannot be read ({error.strerror or one_line(error)})") from None


@dataclass
class _Reader:
    """Reads datasets in the same way.

    Args:
        images: folder of the image files; None: that of the dataset.
        strict: whether any problem is an error.
        exif: see `read_dataset`.
    """

    images: str | os.PathLike[str] | None
    strict: bool
    exif: str | None
    _folders: dict[Path, Folder] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.images is not None and not os.path.isdir(self.images):
            raise ValueError(f"{self.images}: no such folder of images")
        if self.exif is not None and self.exif not in EXIF:
            raise ValueError(f"exif is {self.exif!r}: it must be one of {', '.join(EXIF)}")

    def read(
        self, source: Source, path: Path, class_names: Sequence[str] | None = None
    ) -> tuple[DetectionDataset, list[ImageEntry]]:
        """Return a dataset, and the entries of all its images; `path` is by which messages call it."""
        problems: list[Problem] = []
        folder = self._folder(source.root)
        category_ids: tuple[int | str, ...] | None = None
        if source.coco_file is not None:
            names, category_ids, entries = coco.parse(coco.load(source.coco_file), source.coco_file, problems)
            finder = coco.image_finder(source.coco_file, folder)
            for entry in entries:
                entry.context = coco.context(source.coco_file, folder)
        elif source.description is not None:
            finder = yolo.image_finder(folder)
            names, entries = yolo.parse(source.description, source.parts, finder, problems)
        else:
            finder = pascal_voc.image_finder(folder)
            names, entries = pascal_voc.parse(list(source.xml), source.root, problems)
        where = source.coco_file or (source.description.file if source.description is not None else source.root)
        images = checked_images(
            entries, finder, where.name or str(where), problems, self.exif, named_by_path=source.coco_file is None
        )
        dataset = DetectionDataset(names, names if category_ids is None else category_ids, images)
        if class_names is not None:
            dataset = _renumbered(dataset, tuple(class_names), problems)
        dataset = replace(dataset, problems=tuple(problems))
        self.check(dataset, path)
        if not any(image.boxes for image in dataset.images):
            left = "no image" if not dataset.images else "no box"
            raise ValueError(f"{path}: {left} is left" + (f" after {_listed(problems)}" if problems else ""))
        return dataset, entries

    def check(self, dataset: DetectionDataset, path: Path) -> None:
        """Raise ValueError for problems, if none are allowed."""
        defects = [problem for problem in dataset.problems if problem.kind not in NOTES]
        if self.strict and defects:
            raise ValueError(f"{path} has {_listed(defects)}")

    def _folder(self, root: Path) -> Folder:
        place = Path(self.images) if self.images is not None else root
        if place not in self._folders:  # the parts of a dataset share one, whose files are listed once
            self._folders[place] = Folder(place, links=self.images is not None)
        return self._folders[place]


def _renumbered(dataset: DetectionDataset, class_names: tuple[str, ...], problems: list[Problem]) -> DetectionDataset:
    """The dataset with boxes counted by other class names; those of further classes are dropped."""
    index_of = {name: index for index, name in enumerate(class_names)}
    images = []
    for image in dataset.images:
        boxes = []
        for box in image.boxes:
            name = dataset.class_names[box.category]
            if name in index_of:
                boxes.append(replace(box, category=index_of[name]))
            else:
                text = f"has a box of {shown(name)}, which is none of the {len(class_names)} classes: dropped"
                problems.append(Problem("unknown_category", f"image {shown(image.name)}", text))
        images.append(replace(image, boxes=tuple(boxes)))
    ids = dict(zip(dataset.class_names, dataset.category_ids, strict=True))
    return DetectionDataset(class_names, tuple(ids.get(name, name) for name in class_names), tuple(images))


def _listed(problems: Sequence[Problem], most: int = 3) -> str:
    """Their number and the first ones, in a line."""
    number = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    more = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return f"{number}: {'; '.join(map(str, problems[:most]))}{more}"


def read_splits(
    path: str | os.PathLike[str],
    strict: bool = False,
    validation: str | os.PathLike[str] | None = None,
    fraction: float = 0.2,
    seed: int = 0,
    images: str | os.PathLike[str] | None = None,
    exif: str | None = None,
) -> tuple[DetectionDataset, DetectionDataset]:
    """Read a dataset as what is trained on and what is held out.

    Args:
        path: of a dataset as `read_dataset` takes it; or a folder that has two, of which one is called
            train, the other val, valid or validation (or test, if there is no other; trainval and test
            likewise): COCO files such as instances_train.json, in it or in its folder `annotations`;
            folders with a dataset each; folders of Pascal VOC XML; lists of images in Pascal VOC's
            ImageSets or beside the folders, also in pairs with their XML, as Paddle writes them; or
            what YOLO's data.yaml names.
        strict: whether any problem is an error, but for `NOTES`.
        validation: a dataset to hold out instead; it may be the same.
        fraction: of the images that are held out where the dataset does not say which.
        seed: of that choice; see `split_dataset`.
        images: folder of the image files; see `read_dataset`.
        exif: "apply" or "ignore"; see `read_dataset`.

    Returns:
        Training and validation, both with the training set's class names. The problems of a
        dataset that is split here are the training part's.

    Raises:
        ValueError: as `read_dataset` and `split_dataset` do, or if there are several training or validation sets.

    Example:
        Five images, of which one is held out:

        >>> import json
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> images, boxes = [], []
        >>> for number in range(1, 6):
        ...     Image.new("RGB", (40, 30)).save(f"{number}.jpg")
        ...     images.append({"id": number, "file_name": f"{number}.jpg"})
        ...     boxes.append({"id": number, "image_id": number, "category_id": 3, "bbox": [5, 6, 10, 12.5]})
        >>> content = {"images": images, "annotations": boxes, "categories": [{"id": 3, "name": "cat"}]}
        >>> _ = Path("coco.json").write_text(json.dumps(content))
        >>> training, validation = read_splits("coco.json")
        >>> len(training.images), len(validation.images)
        (4, 1)
    """
    path, reader = Path(path), _Reader(images, strict, exif)
    with _reading(path):
        path = sources.inner(path)
        two = sources.find_two(path)
        train, entries = reader.read(two[0] if two else sources.find(path), path)
        if validation is not None:
            held_out = sources.find(sources.inner(Path(validation)))
        elif two:
            held_out = two[1]
        else:
            files = lists.find(path)
            if not files:
                return split_dataset(train, fraction, seed)
            parts = lists.split(train, entries, files, path)
            reader.check(parts[0], path)
            return parts
        return train, reader.read(held_out, path if validation is None else Path(validation), train.class_names)[0]


def split_dataset(
    dataset: DetectionDataset, fraction: float = 0.2, seed: int = 0
) -> tuple[DetectionDataset, DetectionDataset]:
    """Hold out a part of the images, chosen by their names: their order and their folder do not matter.

    Args:
        dataset: of two or more images.
        fraction: held out, above 0 and below 1; one image at least, and one at least is left.
        seed: another gives another choice.

    Returns:
        What is left, with all problems, and what is held out; images in the dataset's order.

    Raises:
        ValueError: if the fraction is not between 0 and 1, or there is one image only.

    Example:
        >>> from pathlib import Path
        >>> images = [AnnotatedImage(Path(f"{n}.jpg"), f"{n}.jpg", n, 40, 30, boxes=()) for n in range(10)]
        >>> dataset = DetectionDataset(("cat",), (1,), tuple(images))
        >>> training, validation = split_dataset(dataset, fraction=0.3)
        >>> len(training.images), len(validation.images)
        (7, 3)
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}: it must be between 0 and 1")
    if len(dataset.images) < 2:
        raise ValueError("the dataset has one image: none can be held out")
    number = min(max(round(fraction * len(dataset.images)), 1), len(dataset.images) - 1)
    ranked = sorted(
        dataset.images,
        key=lambda image: hashlib.sha256(f"{seed}/{image.name}".encode("utf-8", "surrogatepass")).digest(),
    )
    return _parts(dataset, {image.name for image in ranked[:number]})


def _parts(dataset: DetectionDataset, held_out: set[str]) -> tuple[DetectionDataset, DetectionDataset]:
    train = tuple(image for image in dataset.images if image.name not in held_out)
    validation = tuple(image for image in dataset.images if image.name in held_out)
    return replace(dataset, images=train), replace(dataset, images=validation, problems=())

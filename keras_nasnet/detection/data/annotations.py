"""Reads the annotations of detection datasets: COCO's JSON and Pascal VOC's XML. Imports no TensorFlow."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from keras_nasnet.detection.data import coco, pascal_voc
from keras_nasnet.detection.data.checks import ImageFinder, checked_images, shown
from keras_nasnet.detection.data.dataset import AnnotatedImage, Box, DetectionDataset, Problem

__all__ = ["AnnotatedImage", "Box", "DetectionDataset", "Problem", "read_dataset", "read_splits", "split_dataset"]

_VALIDATION = ("val", "valid", "validation")


def read_dataset(
    path: str | os.PathLike[str],
    images: str | os.PathLike[str] | None = None,
    strict: bool = False,
    class_names: Sequence[str] | None = None,
) -> DetectionDataset:
    """Read the annotations of a dataset, check them, and decode each image once.

    Boxes refer to the pixels as they lie in the file: an EXIF orientation is not applied, as
    COCO's own tools and the Model Garden do not apply it either. Pascal VOC's difficult objects are
    boxes like others.

    Args:
        path: a COCO JSON file; a folder with one, in it or in its folder `annotations`; or a folder
            with Pascal VOC XML files anywhere below it.
        images: folder of the image files. By default those of COCO are looked up in the folder
            that the JSON is named after (instances_NAME.json: NAME), beside the JSON, in `images`,
            and anywhere below if the name is there once; those of Pascal VOC beside the XML, in
            `JPEGImages` and in `images`.
        strict: whether any problem is an error.
        class_names: by which boxes are counted, for example those of a model; default: the
            dataset's own, in order of category id, or of the alphabet for Pascal VOC.

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
    path = Path(path)
    folder = Path(images) if images is not None else None
    if folder is not None and not folder.is_dir():
        raise ValueError(f"{folder}: no such folder of images")
    problems: list[Problem] = []
    category_ids: tuple[int | str, ...]
    if path.is_dir():
        file = coco.find(path)
        xml_files = pascal_voc.find(path) if file is None else []
        if file is None and not xml_files:
            raise ValueError(
                f"{path}: no dataset: neither COCO JSON, in it or in annotations/, nor Pascal VOC XML below"
            )
    elif path.is_file():
        file = path
    else:
        raise ValueError(f"{path}: no such file or folder: give a COCO JSON file, or a folder with COCO or Pascal VOC")
    if file is not None:
        names, category_ids, entries = coco.parse(coco.load(file), file, problems)
        finder = coco.image_finder(file, folder)
    else:
        names, entries = pascal_voc.parse(xml_files, path, folder, problems)
        category_ids, finder = names, ImageFinder([path], None)
    dataset = DetectionDataset(names, category_ids, checked_images(entries, finder, problems))
    if class_names is not None:
        dataset = _renumbered(dataset, tuple(class_names), problems)
    dataset = replace(dataset, problems=tuple(problems))
    if strict and problems:
        raise ValueError(f"{path} has {_listed(problems)}")
    if not any(image.boxes for image in dataset.images):
        left = "no image" if not dataset.images else "no box"
        raise ValueError(f"{path}: {left} is left" + (f" after {_listed(problems)}" if problems else ""))
    return dataset


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
) -> tuple[DetectionDataset, DetectionDataset]:
    """Read a dataset as what is trained on and what is held out.

    Args:
        path: of a dataset as `read_dataset` takes it; or a folder that has two: instances_train*.json
            and instances_val*.json, in it or in its folder `annotations`; the folders `train` and
            `val` (or `valid`, `validation`); or Pascal VOC's ImageSets/Main/train.txt and val.txt.
        strict: whether any problem is an error.
        validation: a dataset to hold out instead; it may be the same.
        fraction: of the images that are held out where the dataset does not say which.
        seed: of that choice; see `split_dataset`.

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
    path = Path(path)
    train_path, validation_path = _two_datasets(path) or (path, None)
    if validation is not None:
        validation_path = Path(validation)
    train = read_dataset(train_path, strict=strict)
    if validation_path is not None:
        return train, read_dataset(validation_path, strict=strict, class_names=train.class_names)
    lists = [path / "ImageSets" / "Main" / f"{name}.txt" for name in ("train", "val")]
    if all(file.is_file() for file in lists):
        return _listed_parts(train, lists)
    return split_dataset(train, fraction, seed)


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


def _listed_parts(dataset: DetectionDataset, files: Sequence[Path]) -> tuple[DetectionDataset, DetectionDataset]:
    """The parts that Pascal VOC's lists name."""
    parts: list[DetectionDataset] = []
    for file in files:
        names = {line.split()[0] for line in file.read_text("utf-8", errors="replace").splitlines() if line.strip()}
        images = tuple(image for image in dataset.images if image.path.stem in names)
        if not images:
            raise ValueError(f"{file} names none of the dataset's {len(dataset.images)} images")
        parts.append(replace(dataset, images=images, problems=() if parts else dataset.problems))
    return parts[0], parts[1]


def _two_datasets(folder: Path) -> tuple[Path, Path] | None:
    """The two files or folders of a dataset that comes in two parts."""
    files = [
        [file for place in (folder / "annotations", folder) for file in sorted(place.glob(f"instances_{name}*.json"))]
        for name in ("train", "val")
    ]
    if all(files):
        for some in files:
            if len(some) > 1:
                raise ValueError(f"{folder} has {' and '.join(file.name for file in some)}: give one of them")
        return files[0][0], files[1][0]
    folders = [folder / name for name in ("train", *_VALIDATION) if _has_annotations(folder / name)]
    return (folders[0], folders[1]) if len(folders) == 2 and folders[0].name == "train" else None


def _has_annotations(folder: Path) -> bool:
    return any(any(folder.glob(pattern)) for pattern in ("*.json", "annotations/*.json", "**/*.xml"))

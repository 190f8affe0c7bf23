"""What a detection dataset is: images with labelled boxes, and what was found wrong with them. Plain data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_nasnet.common import limits


@dataclass(frozen=True)
class Box:
    """A labelled box in pixels of its image, within it, and of positive area.

    Args:
        left: distance of its left edge from the image's.
        top: likewise from the top.
        width: in pixels, as all of these; fractions are allowed.
        height: likewise.
        category: index into the dataset's `class_names`.
        crowd: whether it marks a group; such boxes are not trained on, and the evaluation ignores what lies in them.
        area: of the object in square pixels: what COCO calls small, medium and large goes by it.
        id: that the annotations give it; None where they give none, as in Pascal VOC.

    Example:
        >>> box = Box(left=5, top=6, width=10, height=12.5, category=0, crowd=False, area=100.5)
        >>> box.left + box.width, box.top + box.height  # its lower right corner
        (15, 18.5)
    """

    left: float
    top: float
    width: float
    height: float
    category: int
    crowd: bool
    area: float
    id: int | str | None = None


@dataclass(frozen=True)
class AnnotatedImage:
    """An image file and its boxes.

    Args:
        path: of the file, which is there and decodes.
        name: by which the annotations call it; unique in its dataset.
        id: that the annotations give it; Pascal VOC's images are numbered from 1 in order of their XML files.
        width: of the pixels as they lie in the file, as are the boxes: EXIF orientation is not applied.
        height: likewise.
        boxes: none for an image that shows nothing of the classes.
        orientation: EXIF's, 1 to 8, by which the pixels are turned upright; 1 where they are. Training and `detect
            predict` see images upright; `upright` turns size and boxes.

    Example:
        >>> from pathlib import Path
        >>> box = Box(left=5, top=6, width=10, height=12.5, category=0, crowd=False, area=100.5)
        >>> image = AnnotatedImage(Path("photos/a.jpg"), name="a.jpg", id=10, width=40, height=30, boxes=(box,))
        >>> len(image.boxes)
        1
    """

    path: Path
    name: str
    id: int | str
    width: int
    height: int
    boxes: tuple[Box, ...]
    orientation: int = 1


@dataclass(frozen=True)
class Problem:
    """A defect of the annotations, and what became of it; as a string, one line.

    Args:
        kind: one of `KINDS`.
        where: the file, image, or annotation.
        text: what is wrong, and what is done about it.

    Example:
        >>> print(Problem("bad_xml", "a.xml", "not XML: dropped"))
        a.xml: not XML: dropped
    """

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.where}: {self.text}"


KINDS = {
    "ambiguous_image": "several names may mean one image file",
    "bad_annotation": "an annotation is no JSON object, or lacks its image or category",
    "bad_area": "an area is no positive number",
    "bad_bbox": "a bbox is not four values",
    "bad_category": "a category lacks an id or a name",
    "bad_coordinate": "one of a bbox's values is no finite number",
    "bad_crowd": "iscrowd is neither 0 nor 1",
    "bad_image": "an image lacks an id or a file name",
    "bad_label": "a line of YOLO's labels is no class and box",
    "bad_list": "a line of a list names no image, or several",
    "bad_xml": "a Pascal VOC file does not parse, or is something else",
    "bbox_of_mask": "an annotation has a mask and no bbox",
    "box_clipped": "a box is partly outside its image",
    "box_outside": "a box is wholly outside its image",
    "broken_image": "an image file does not decode",
    "duplicate_annotation_id": "two annotations have one id",
    "duplicate_category_id": "two categories have one id",
    "duplicate_category_name": "two categories have one name",
    "duplicate_file_name": "two entries are of one image file",
    "duplicate_image_id": "two images have one id",
    "fractions": "boxes are fractions of their images where pixels are due",
    "in_two_parts": "an image is in two lists",
    "missing_bndbox": "a Pascal VOC object has no bndbox",
    "missing_image": "an image file is not there, or there are several of its name",
    "missing_size": "a Pascal VOC file has no size",
    "name_differs": "a file name was not read as it is written",
    "negative_size": "a box has negative width or height",
    "no_box_left": "all boxes of an image were dropped",
    "no_labels": "images have no file of labels",
    "root_category": "a category that stands for all others, without boxes",
    "size_differs": "an image file has another size than its annotations say",
    "turned_image": "an image lies turned in its file, and its annotations do not say how they are meant",
    "unknown_category": "a box is of a category that is not listed",
    "unknown_image": "an annotation is of an image that is not listed",
    "unlisted_image": "an image is in no list",
    "zero_area": "a box has no area",
}
# What is said of a sound dataset: no reason to refuse it.
NOTES = frozenset({"no_labels", "root_category", "unlisted_image"})


@dataclass(frozen=True)
class DetectionDataset:
    """Annotated images and their classes.

    Args:
        class_names: of the classes that a box's `category` counts, from 0.
        category_ids: by which the annotations call these classes: COCO's category ids, Pascal VOC's names.
        images: in the order of the annotations.
        problems: all that was found wrong; what is listed here as dropped is not in `images`.

    Example:
        >>> from pathlib import Path
        >>> box = Box(left=5, top=6, width=10, height=12.5, category=1, crowd=False, area=100.5)
        >>> image = AnnotatedImage(Path("photos/a.jpg"), name="a.jpg", id=10, width=40, height=30, boxes=(box,))
        >>> dataset = DetectionDataset(class_names=("cat", "dog"), category_ids=(3, 7), images=(image,))
        >>> [dataset.class_names[box.category] for image in dataset.images for box in image.boxes]
        ['dog']
    """

    class_names: tuple[str, ...]
    category_ids: tuple[int | str, ...]
    images: tuple[AnnotatedImage, ...]
    problems: tuple[Problem, ...] = ()


def checked_names(names: Any) -> tuple[str, ...]:
    """Return class names that came in a file.

    Raises:
        ValueError: if they are no list of names, too many or too long; says what they must be.
    """
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise ValueError("it must be a list of names")
    if len(names) > limits.NETWORK_CLASSES or max(map(len, names)) > limits.NAME_CHARACTERS:
        raise ValueError(
            f"it may have {limits.NETWORK_CLASSES:,} names of {limits.NAME_CHARACTERS:,} characters at the most"
        )
    return tuple(names)

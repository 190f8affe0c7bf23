"""Detection datasets as the Model Garden reads them: TFRecords and COCO's JSON. Imports TensorFlow to write only."""

import glob
import hashlib
import io
import json
import os
import re
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from PIL import Image
from tqdm import tqdm

from keras_nasnet.common import limits
from keras_nasnet.common.checksum import sha256
from keras_nasnet.common.documents import read_json
from keras_nasnet.common.errors import one_line
from keras_nasnet.common.files import replacing_folder
from keras_nasnet.common.images import read_fitted, read_header
from keras_nasnet.detection.data.dataset import AnnotatedImage, DetectionDataset, checked_names
from keras_nasnet.detection.data.orientation import UPRIGHT, orientation_of, upright

VERSION = 1  # of what is written; another is written anew
MANIFEST, ANNOTATIONS, CLASS_NAMES = "manifest.json", "annotations.json", "class_names.json"
IMAGES_PER_SHARD, MOST_SHARDS = 32, 64
QUALITY = 95  # of what is written as JPEG because it is something else
_NAMES = re.compile(r"images-\d{5}-of-\d{5}\.tfrecord|manifest\.json|annotations\.json|class_names\.json")
_AT_ONCE = 64  # images held in memory
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class Records:
    """A dataset as the Model Garden reads it.

    Args:
        folder: where it all lies, with class_names.json and manifest.json.
        pattern: of the TFRecord files, for `input_path`.
        annotation_file: COCO JSON of the same images, for the Garden's evaluator: image ids are the
            records' source ids, category ids go from 1 up.
        class_names: of the classes 1, 2, ...; 0 is the background.
        num_images: in all shards.

    Example:
        >>> from pathlib import Path
        >>> folder = Path("records")
        >>> pattern = "records/images-?????-of-00001.tfrecord"
        >>> Records(folder, pattern, folder / "annotations.json", class_names=("cat",), num_images=5).num_images
        5
    """

    folder: Path
    pattern: str
    annotation_file: Path
    class_names: tuple[str, ...]
    num_images: int


def write_records(dataset: DetectionDataset, folder: str | os.PathLike[str], shards: int | None = None) -> Records:
    """Write a dataset into a folder; what is there already from the same data is kept.

    Images and their boxes are written upright, as `detect predict` sees them. Upright JPEGs in RGB or grey are
    taken over byte by byte; what else Pillow reads, or lies turned in its file, is written as JPEG of
    quality 95. Boxes are relative to the image's size; see `official/vision/dataloaders/
    tf_example_decoder.py` for the features. The folder is replaced as a whole or not at all.

    Args:
        dataset: what `annotations.read_dataset` returned.
        folder: that is made or replaced; anything but such a folder is left alone. Without a comma
            in its path: the Garden splits paths there.
        shards: number of TFRecord files; default: one for 32 images, at most 64.

    Returns:
        Where everything is. Images keep their ids if all are numbers below 2**31, else they are numbered from 1.

    Raises:
        ValueError: if there is no image, an image is gone or has changed since the dataset was read,
            `shards` is not from 1 up to the number of images, or the folder holds something else.
        OSError: if it cannot be written; the folder is then as it was.

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
        >>> records = write_records(read_dataset("coco.json"), "records")
        >>> records.pattern
        'records/images-?????-of-00001.tfrecord'
    """
    folder = Path(folder)
    count = len(dataset.images)
    if count == 0:
        raise ValueError("there is no image to write")
    if shards is None:
        shards = min(-(-count // IMAGES_PER_SHARD), MOST_SHARDS)
    if not 1 <= shards <= count:
        raise ValueError(f"shards is {shards}: it must be from 1 to {count}, the number of images")
    if "," in str(folder):
        raise ValueError(f"{folder} has a comma in its path, at which the Model Garden splits paths: choose another")
    if folder.exists() and not (folder.is_dir() and all(_NAMES.fullmatch(file.name) for file in folder.iterdir())):
        raise ValueError(f"{folder} holds something other than records: choose another folder")
    records = Records(folder, _pattern(folder, shards), folder / ANNOTATIONS, dataset.class_names, count)
    folder.parent.mkdir(parents=True, exist_ok=True)  # for the lock
    with FileLock(folder.with_name(f".{folder.name}.lock")):
        content = _content_hash(dataset, shards)
        if not _is_whole(folder, content):
            with replacing_folder(folder) as written:
                _write(dataset, shards, content, written)
    return records


def read_records(folder: str | os.PathLike[str]) -> Records:
    """Return what `write_records` has left in a folder.

    Raises:
        ValueError: if that is not there, or damaged.

    Example:
        >>> read_records("runs/detect-raccoon/records/train")
        Traceback (most recent call last):
        ValueError: runs/detect-raccoon/records/train: no records (...)
    """
    folder = Path(folder)
    try:
        manifest = read_json(folder / MANIFEST)
        if not _is_whole(folder, manifest["content"]):
            raise ValueError(f"{folder}: its records are damaged; delete the folder, and they are written anew")
        names = checked_names(read_json(folder / CLASS_NAMES))
        count = len(read_json(folder / ANNOTATIONS, limits.ANNOTATION_BYTES)["images"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"{folder}: no records ({one_line(error)})") from None
    except ValueError as error:
        text = one_line(error)
        raise ValueError(text if "damaged" in text else f"{folder}: no records ({text})") from None
    shards = len(list(folder.glob("images-*.tfrecord")))
    return Records(folder, _pattern(folder, shards), folder / ANNOTATIONS, names, count)


def _pattern(folder: Path, shards: int) -> str:
    return f"{glob.escape(str(folder))}/images-?????-of-{shards:05}.tfrecord"


def _content_hash(dataset: DetectionDataset, shards: int) -> str:
    """Return a hash of all that the files follow from; the images go by their size and their time of change."""
    digest = hashlib.sha256()
    for part in ([VERSION, shards, dataset.class_names], *map(_identity, dataset.images)):
        digest.update(json.dumps(part).encode() + b"\n")
    return digest.hexdigest()


def _identity(image: AnnotatedImage) -> list[Any]:
    try:
        status = image.path.stat()
    except OSError as error:
        raise ValueError(f"{image.path}: cannot be read ({error.strerror})") from None
    boxes = [list(asdict(box).values()) for box in image.boxes]
    turned = [image.orientation] if image.orientation != UPRIGHT else []
    return [image.name, image.id, image.width, image.height, status.st_size, status.st_mtime_ns, boxes, *turned]


def _is_whole(folder: Path, content: str) -> bool:
    """Whether the folder holds records of this content, every file as it was written."""
    try:
        manifest = read_json(folder / MANIFEST)
        return manifest["content"] == content and all(
            _NAMES.fullmatch(name) and _is_file_of(folder / name, file["bytes"], file["sha256"])
            for name, file in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def _is_file_of(path: Path, size: int, digest: str) -> bool:
    status = path.stat()
    return stat.S_ISREG(status.st_mode) and status.st_size == size and sha256(path) == digest


def _write(dataset: DetectionDataset, shards: int, content: str, folder: Path) -> None:
    """Write all files of the records into an empty folder."""
    ids = _source_ids(dataset)
    seen = replace(dataset, images=tuple(map(upright, dataset.images)))
    for number in range(shards):
        # Each shard has images from everywhere: annotations are often sorted.
        own = list(zip(ids, dataset.images, strict=True))[number::shards]
        _write_shard(folder / f"images-{number:05}-of-{shards:05}.tfrecord", own, f"shard {number + 1}/{shards}")
    (folder / ANNOTATIONS).write_text(json.dumps(_coco(seen, ids)), "utf-8")
    names = json.dumps(list(dataset.class_names), indent=1, ensure_ascii=False)
    (folder / CLASS_NAMES).write_text(names + "\n", "utf-8")
    files = {file.name: {"bytes": file.stat().st_size, "sha256": sha256(file)} for file in sorted(folder.iterdir())}
    manifest = {"version": VERSION, "content": content, "images": len(dataset.images), "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")


def _source_ids(dataset: DetectionDataset) -> list[int]:
    ids = [image.id for image in dataset.images]
    numbers = [key for key in ids if isinstance(key, int) and 0 <= key <= _LARGEST_ID]
    return numbers if len(set(numbers)) == len(ids) else list(range(1, len(ids) + 1))


def _write_shard(path: Path, images: list[tuple[int, AnnotatedImage]], name: str) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        bar = tqdm(_encoded(images), name, len(images), leave=False, unit=" images", disable=None)
        for (source_id, image), encoded in zip(images, bar, strict=True):
            writer.write(_example(source_id, upright(image), encoded).SerializeToString(deterministic=True))


def _encoded(images: list[tuple[int, AnnotatedImage]]) -> Iterator[bytes]:
    """The images' JPEGs, in order, made in as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(images), _AT_ONCE):
            yield from pool.map(lambda pair: _jpeg(pair[1]), images[start : start + _AT_ONCE])


def _jpeg(image: AnnotatedImage) -> bytes:
    try:
        content = image.path.read_bytes()
    except OSError as error:
        raise ValueError(f"{image.path}: cannot be read ({error.strerror})") from None
    header = read_header(io.BytesIO(content), str(image.path))

    def encode(pixels: Image.Image) -> bytes:
        size = upright(image).width, upright(image).height
        if pixels.size != size or orientation_of(pixels) != image.orientation:
            raise ValueError(f"{image.path} has changed since the dataset was read: read it again")
        if image.orientation == UPRIGHT and header.format == "JPEG" and header.mode in ("RGB", "L"):
            return content
        buffer = io.BytesIO()
        try:
            pixels.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
        except OSError as error:  # JPEG ends at 65535 pixels a side
            raise ValueError(f"{image.path}: cannot be written as JPEG ({error})") from None
        return buffer.getvalue()

    return read_fitted(io.BytesIO(content), encode, str(image.path))


def _example(source_id: int, image: AnnotatedImage, encoded: bytes) -> Any:
    import tensorflow as tf

    def integers(*values: int) -> Any:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def numbers(*values: float) -> Any:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def text(value: bytes) -> Any:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    boxes, width, height = image.boxes, image.width, image.height
    features = {
        "image/encoded": text(encoded),
        "image/source_id": text(str(source_id).encode()),
        "image/height": integers(height),
        "image/width": integers(width),
        "image/object/bbox/xmin": numbers(*(box.left / width for box in boxes)),
        "image/object/bbox/xmax": numbers(*(min((box.left + box.width) / width, 1.0) for box in boxes)),
        "image/object/bbox/ymin": numbers(*(box.top / height for box in boxes)),
        "image/object/bbox/ymax": numbers(*(min((box.top + box.height) / height, 1.0) for box in boxes)),
        "image/object/class/label": integers(*(box.category + 1 for box in boxes)),
        "image/object/area": numbers(*(box.area for box in boxes)),
        "image/object/is_crowd": integers(*(int(box.crowd) for box in boxes)),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def _coco(dataset: DetectionDataset, ids: list[int]) -> dict[str, Any]:
    """COCO's structure; annotations are numbered from 1, as pycocotools takes an id of 0 for no match."""
    pairs = [(key, box) for key, image in zip(ids, dataset.images, strict=True) for box in image.boxes]
    return {
        "info": {},
        "images": [
            {"id": key, "file_name": image.name, "width": image.width, "height": image.height}
            for key, image in zip(ids, dataset.images, strict=True)
        ],
        "categories": [{"id": index, "name": name} for index, name in enumerate(dataset.class_names, 1)],
        "annotations": [
            {
                "id": number,
                "image_id": key,
                "category_id": box.category + 1,
                "bbox": [box.left, box.top, box.width, box.height],
                "area": box.area,
                "iscrowd": int(box.crowd),
            }
            for number, (key, box) in enumerate(pairs, 1)
        ],
    }

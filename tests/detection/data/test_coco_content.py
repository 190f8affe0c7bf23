"""What COCO files of other tools have in them: ids of two kinds, masks alone, fractions, categories above all."""

import json

import numpy as np
import pytest

from keras_nasnet.detection.data import coco
from keras_nasnet.detection.data.annotations import read_dataset, read_splits
from keras_nasnet.detection.data.masks import bbox_of
from tests.support.small_coco import CONTENT, SOUND, annotation, boxes, changed, write_coco
from tests.support.small_voc import VOC, write_voc


def kinds(dataset):
    return [problem.kind for problem in dataset.problems]


@pytest.mark.parametrize("where", ["images", "annotations", "categories"])
def test_ids_may_be_text_in_one_place_and_numbers_in_another(tmp_path, where):
    content = json.loads(json.dumps(CONTENT))
    for item in content[where]:
        for name in {"id", "image_id", "category_id"} & set(item):
            item[name] = str(item[name])
    assert boxes(read_dataset(write_coco(tmp_path, content), strict=True)) == SOUND


def test_ids_of_both_kinds_that_differ_stay_two(tmp_path):
    content = changed(images=[{"id": "10", "file_name": "d.jpg"}], annotations=[annotation(image_id="10")])
    folder = write_coco(tmp_path, content)
    (folder / "images" / "a.jpg").rename(folder / "images" / "d.jpg")
    dataset = read_dataset(folder)
    assert [box[0] for box in boxes(dataset)] == ["b.jpg", "d.jpg"]


MASK = np.zeros((30, 40), np.uint8)
MASK[7:19, 5:26] = MASK[20:23, 12:14] = 1


def runs(mask):
    """Uncompressed run lengths, column by column."""
    flat = np.concatenate([[0], mask.T.ravel(), [0]])
    changes = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], changes, [mask.size]])).tolist()


@pytest.mark.parametrize("bbox", [None, [], [0, 0, 0, 0], "missing"])
@pytest.mark.parametrize("form", ["polygons", "flat", "runs", "letters"])
def test_the_box_of_a_mask_stands_for_one_that_is_missing(tmp_path, bbox, form):
    polygons = [[5, 7, 26, 7, 26, 19, 5, 19], [12, 20, 14, 20, 14, 23]]
    segmentation = {"polygons": polygons, "flat": [5, 7, 26, 7, 26, 23, 5, 7]}.get(form)
    if form == "runs":
        segmentation = {"size": [30, 40], "counts": runs(MASK)}
    elif form == "letters":
        mask = pytest.importorskip("pycocotools.mask")
        segmentation = mask.encode(np.asfortranarray(MASK))
        segmentation["counts"] = segmentation["counts"].decode()
    entry = annotation(bbox=bbox, segmentation=segmentation)
    if bbox == "missing":
        del entry["bbox"]
    dataset = read_dataset(write_coco(tmp_path, changed(annotations=[entry])))
    assert boxes(dataset)[-1] == ("b.jpg", 5, 7, 21, 16, "cat")
    (problem,) = dataset.problems
    assert problem.kind == "bbox_of_mask" and "annotation 9" in str(problem)


def test_a_box_that_is_there_goes_over_its_mask(tmp_path):
    entry = annotation(segmentation=[[0, 0, 9, 0, 9, 9]])
    dataset = read_dataset(write_coco(tmp_path, changed(annotations=[entry])), strict=True)
    assert boxes(dataset)[-1] == ("b.jpg", 1, 1, 5, 5, "cat")


def test_masks_are_not_kept_in_memory(tmp_path):
    folder = write_coco(tmp_path, changed(annotations=[annotation(segmentation=[[0.5] * 1000])]))
    content = coco.load(folder / "annotations_coco.json")
    assert not any("segmentation" in item for item in content["annotations"])


def test_boxes_of_run_lengths_are_pycocotools_own():
    mask = pytest.importorskip("pycocotools.mask")
    random = np.random.default_rng(0)
    for _ in range(200):
        height, width = random.integers(1, 40, 2)
        pixels = (random.random((height, width)) < random.choice([0.02, 0.3, 0.9])).astype(np.uint8)
        encoded = mask.encode(np.asfortranarray(pixels))
        expected = mask.toBbox(encoded).tolist() if pixels.any() else None
        size = [int(height), int(width)]
        assert bbox_of({"size": size, "counts": runs(pixels)}) == expected
        assert bbox_of({"size": size, "counts": encoded["counts"].decode()}) == expected


@pytest.mark.parametrize(
    "segmentation",
    [
        *([], [[]], [[1, 2, 3]], [[1, 2, 3, 4, 5, "x"]], [[1, 2], 3], "x", 5, None, {}, [[None] * 6], [[True] * 6]),
        {"size": [2, 2], "counts": [1, 9]},
        {"size": [2], "counts": [1, 1]},
        {"size": [0, 0], "counts": []},
        {"size": [2, 2], "counts": [-1, 3]},
        {"size": [2, 2], "counts": [0.5, 3]},
        {"size": [2, 2], "counts": "\x00"},
        {"size": [2, 2], "counts": "o" * 1000},
        {"size": [2, 2], "counts": "é"},
    ],
)
def test_what_is_no_mask_has_no_box(segmentation):
    assert bbox_of(segmentation) is None


def test_fractions_are_no_pixels(tmp_path):
    content = changed()
    for item in content["annotations"]:
        item["bbox"] = [0.1, 0.2, 0.5, 0.25]
    with pytest.raises(ValueError, match=r"no box is left after .* all 3 boxes lie within 0 and 1: fractions") as error:
        read_dataset(write_coco(tmp_path, content))
    assert "\n" not in str(error.value)
    problems = []
    coco.parse(content, tmp_path / "coco.json", problems)
    assert [(problem.kind, problem.where) for problem in problems] == [("fractions", "coco.json")]
    text = VOC
    for corner in (">1<", ">3<", ">40<", ">30<", ">5.5<", ">2<"):
        text = text.replace(f"min{corner}", "min>0.25<").replace(f"max{corner}", "max>0.5<")
    with pytest.raises(ValueError, match=r"no image is left after .* all 4 boxes lie within 0 and 1"):
        read_dataset(write_voc(tmp_path / "voc", text))


ROOT = {"id": 0, "name": "pets", "supercategory": "none"}


def under_root(*roots):
    content = changed()
    for item in content["categories"]:
        item["supercategory"] = "pets"
    content["categories"] = [*roots, *content["categories"]]
    return content


def test_roboflow_s_category_above_all_is_dropped_with_a_line(tmp_path):
    dataset = read_dataset(write_coco(tmp_path, under_root(ROOT)), strict=True)
    assert dataset.class_names == ("cat", "dog") and boxes(dataset) == SOUND
    (note,) = dataset.problems
    assert note.kind == "root_category" and "'pets' stands for all others" in str(note)


def test_a_category_above_others_that_has_boxes_stays(tmp_path):
    content = under_root(ROOT)
    content["annotations"].append(annotation(category_id=0))
    dataset = read_dataset(write_coco(tmp_path, content), strict=True)
    assert dataset.class_names == ("pets", "cat", "dog") and dataset.problems == ()


def test_other_categories_without_boxes_stay(tmp_path):
    content = changed(categories=[{"id": 9, "name": "bird", "supercategory": "animal"}])
    assert read_dataset(write_coco(tmp_path, content), strict=True).class_names == ("cat", "dog", "bird")


@pytest.mark.parametrize("defect", [{"bbox": [50, 1, 5, 5]}, {"bbox": None}, {"category_id": 99}])
def test_an_image_of_which_the_only_box_was_dropped_is_no_example_of_nothing(tmp_path, defect):
    content = changed()
    content["annotations"][2].update(defect)
    dataset = read_dataset(write_coco(tmp_path, content))
    assert [image.name for image in dataset.images] == ["a.jpg", "c.jpg"]  # c has none to begin with
    assert kinds(dataset)[-1] == "no_box_left"
    assert "image 20 ('b.jpg'): its only box is not left: dropped" in str(dataset.problems[-1])


def test_names_of_classes_move_no_cursor(tmp_path):
    content = changed(categories=[{"id": 9, "name": "\x1b[2J\nError"}], annotations=[annotation(category_id=9)])
    folder = write_coco(tmp_path, content)
    dataset = read_dataset(folder, class_names=["cat"])
    assert len(dataset.problems) == 2 and all(str(problem).isprintable() for problem in dataset.problems)
    assert len(read_splits(folder)) == 2

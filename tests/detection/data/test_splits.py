"""What is held out, and datasets that come in two parts."""

import json

import pytest

from keras_nasnet.detection.data.annotations import DetectionDataset, read_dataset, read_splits, split_dataset
from tests.support.small_coco import CONTENT, SOUND, annotation, boxes, picture, write_coco
from tests.support.small_voc import write_voc


def many(folder, number, order=1):
    write_coco(folder, {**CONTENT, "images": [], "annotations": []})
    content = {**CONTENT, "images": [], "annotations": []}
    for index in list(range(number))[::order]:
        picture((8, 8)).save(folder / "images" / f"{index}.png")
        content["images"].append({"id": index, "file_name": f"{index}.png"})
        content["annotations"].append(annotation(id=index, image_id=index))
    (folder / "annotations_coco.json").write_text(json.dumps(content))
    return folder


def names(dataset):
    return [image.name for image in dataset.images]


def test_a_fifth_is_held_out_whatever_the_order_and_the_place(tmp_path):
    train, validation = read_splits(many(tmp_path / "one", 25))
    assert len(train.images) == 20 and len(validation.images) == 5
    assert sorted(names(train) + names(validation)) == sorted(f"{index}.png" for index in range(25))
    again = read_splits(many(tmp_path / "other", 25, order=-1))[1]
    assert set(names(again)) == set(names(validation))
    assert names(validation) == sorted(names(validation), key=lambda name: int(name[:-4]))
    other = read_splits(tmp_path / "one", seed=1)[1]
    assert set(names(other)) != set(names(validation))
    assert len(read_splits(tmp_path / "one", fraction=0.5)[1].images) == 12


def test_one_image_at_least_is_on_either_side(tmp_path):
    dataset = read_dataset(write_coco(tmp_path))
    assert [len(part.images) for part in split_dataset(dataset, 0.01)] == [2, 1]
    assert [len(part.images) for part in split_dataset(dataset, 0.99)] == [1, 2]
    with pytest.raises(ValueError, match="fraction is 1: it must be between 0 and 1"):
        split_dataset(dataset, 1)
    with pytest.raises(ValueError, match="one image: none can be held out"):
        split_dataset(DetectionDataset(dataset.class_names, dataset.category_ids, dataset.images[:1]))


OTHER = {
    "images": [{"id": 1, "file_name": "c.jpg"}],
    "categories": [{"id": 1, "name": "dog"}, {"id": 2, "name": "cow"}],
    "annotations": [annotation(image_id=1, category_id=1), annotation(id=2, image_id=1, category_id=2)],
}


@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (("annotations/instances_train.json", "train"), ("annotations/instances_val.json", "val")),
        (("annotations/instances_train2017.json", "images"), ("annotations/instances_val2017.json", "images")),
        (("train/_annotations.coco.json", "train"), ("valid/_annotations.coco.json", "valid")),
        (("train/any.json", "train/images"), ("val/any.json", "val/images")),
    ],
)
def test_a_coco_dataset_in_two_parts_is_taken_as_it_is(tmp_path, train, validation):
    write_coco(tmp_path, json_name=train[0], images=train[1])
    write_coco(tmp_path, OTHER, *validation)
    first, second = read_splits(tmp_path)
    assert boxes(first) == SOUND and first.problems == ()
    assert second.class_names == first.class_names == ("cat", "dog")
    assert boxes(second) == [("c.jpg", 1, 1, 5, 5, "dog")]  # 1 there, 7 here
    assert "'cow', which is none of the 2 classes" in str(second.problems[0])
    with pytest.raises(ValueError, match="'cow'"):
        read_splits(tmp_path, strict=True)


def test_two_training_sets_are_not_guessed_between(tmp_path):
    for name in ("train2014", "train2017", "val2017"):
        write_coco(tmp_path, json_name=f"annotations/instances_{name}.json", images=name)
    with pytest.raises(ValueError, match=r"instances_train2014.json and instances_train2017.json: give one"):
        read_splits(tmp_path)


def test_validation_may_be_given_and_may_be_the_same(tmp_path):
    folder = write_coco(tmp_path / "data")
    train, validation = read_splits(folder, validation=folder)
    assert boxes(train) == boxes(validation) == SOUND
    write_coco(tmp_path / "other", OTHER)
    assert boxes(read_splits(folder, validation=tmp_path / "other")[1]) == [("c.jpg", 1, 1, 5, 5, "dog")]


def test_voc_in_two_folders_and_voc_with_lists(tmp_path):
    write_voc(tmp_path / "two" / "train")
    write_voc(tmp_path / "two" / "validation", names="c")
    parts = read_splits(tmp_path / "two", strict=True)
    assert [[image.path.name for image in part.images] for part in parts] == [["a.jpg", "b.jpg"], ["c.jpg"]]
    write_voc(tmp_path / "lists", names="abcd")
    lists = tmp_path / "lists" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("b\nd  1\n")
    (lists / "val.txt").write_text("a\n\n")
    parts = read_splits(tmp_path / "lists", strict=True)
    assert [[image.path.name for image in part.images] for part in parts] == [["b.jpg", "d.jpg"], ["a.jpg"]]
    (note,) = parts[0].problems  # and no reason to refuse the data
    assert str(note) == "Main: 1 image is in no list: left out: 'c.jpg'"
    (lists / "val.txt").write_text("z\n")
    with pytest.raises(ValueError, match=r"val.txt names none of the dataset's 4 images"):
        read_splits(tmp_path / "lists")

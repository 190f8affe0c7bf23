"""The generated shapes: the same for one seed, sound in both layouts, and boxes that fit tightly."""

import numpy as np
import pytest

from keras_nasnet.detection.data.annotations import read_splits
from scripts import make_shapes


def files(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def numbers(dataset):
    return [
        [(box.left, box.top, box.width, box.height, box.category) for box in image.boxes] for image in dataset.images
    ]


def test_one_seed_makes_the_same_files_and_another_others(tmp_path):
    for name, seed in (("one", 3), ("two", 3), ("other", 4)):
        assert make_shapes.main([str(tmp_path / name), "--images", "10", "--seed", str(seed)]) == 0
    one, two, other = (files(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one.keys() == other.keys()
    assert not any(one[path] == other[path] for path in one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "other", "two"]


def test_both_layouts_are_sound_and_of_the_same_boxes(tmp_path):
    make_shapes.main([str(tmp_path / "coco"), "--images", "20"])
    make_shapes.main([str(tmp_path / "voc"), "--images", "20", "--voc"])
    coco, voc = (read_splits(tmp_path / name, strict=True) for name in ("coco", "voc"))
    assert [len(part.images) for part in coco] == [len(part.images) for part in voc] == [16, 4]
    assert coco[0].class_names == voc[0].class_names == make_shapes.CLASS_NAMES
    for one, other in zip(coco, voc, strict=True):
        assert numbers(one) == numbers(other)
    found = [box for part in numbers(coco[0]) for box in part]
    assert {box[4] for box in found} == {0, 1, 2}
    assert all(16 <= side <= 64 for box in found for side in box[2:4])
    assert all((image.width, image.height) == (128, 128) and image.boxes for image in coco[0].images)


def test_boxes_fit_tightly_and_overlap_little():
    for number in range(30):
        image, shapes = make_shapes.draw(0, number, 64)
        pixels = np.asarray(image).astype(int)
        for shape in shapes:
            assert shape.width > 0 and shape.left + shape.width <= 64 and shape.top + shape.height <= 64
            # A shape is of one colour, which its middle has; it reaches all four sides of its box.
            right, bottom = shape.left + shape.width - 1, shape.top + shape.height - 1
            inside = pixels[shape.top : bottom + 1, shape.left : right + 1]
            colour = pixels[shape.top + shape.height // 2, shape.left + shape.width // 2]
            same = (inside == colour).all(-1)
            if len(shapes) == 1:
                assert same.sum() == shape.area
                assert same[0].any() and same[-1].any() and same[:, 0].any() and same[:, -1].any()
        for index, shape in enumerate(shapes):
            assert all(make_shapes._overlap(shape, other) <= make_shapes.OVERLAP for other in shapes[:index])


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(SystemExit):
        make_shapes.main([str(tmp_path)])
    assert "holds something: choose another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    with pytest.raises(SystemExit):
        make_shapes.main([str(tmp_path / "few"), "--images", "4"])
    assert "5 images or more" in capsys.readouterr().err

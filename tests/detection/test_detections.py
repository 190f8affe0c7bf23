"""What a detector found on an image: order, thresholds, COCO's format, and boxes mapped back to the image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.detection.detections import Detections

NAMES = ("raccoon", "dog", "cat")


def some():
    boxes = [[1, 2, 3, 4], [10, 20, 30.5, 60], [5, 5, 6, 6]]
    return Detections(boxes, [0.3, 0.9, 0.6], [2, 0, 1], NAMES)


def garden(boxes, classes, scores=None, count=None):
    scores = np.linspace(0.9, 0.1, len(boxes)) if scores is None else scores
    return {
        "detection_boxes": np.array(boxes, np.float32).reshape(-1, 4),
        "detection_scores": np.array(scores, np.float32),
        "detection_classes": np.array(classes, np.int32),
        "num_detections": np.int32(len(boxes) if count is None else count),
    }


def info(size, scale=(1, 1), offset=(0, 0)):
    return np.array([size, (64, 64), scale, offset], np.float32)


# === The Class ===


def test_the_most_certain_is_first():
    found = some()
    np.testing.assert_array_equal(found.scores, np.float32([0.9, 0.6, 0.3]))
    np.testing.assert_array_equal(found.classes, [0, 1, 2])
    np.testing.assert_array_equal(found.boxes[0], [10, 20, 30.5, 60])
    assert (found.boxes.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert np.issubdtype(found.classes.dtype, np.integer)


def test_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        some().boxes[0, 0] = 7


def test_does_not_change_what_it_is_made_of():
    boxes = np.zeros((1, 4), np.float32)
    Detections(boxes, [0.5], [0], NAMES)
    boxes[0, 0] = 1


def test_a_score_equal_to_the_threshold_stays():
    assert len(some().above(0.6)) == 2
    assert len(some().above(0.9)) == 1
    assert len(some().above(0.91)) == 0
    assert len(some().above(0)) == 3


def test_top():
    assert some().top(2).scores.tolist() == pytest.approx([0.9, 0.6])
    assert len(some().top(5)) == 3


def test_repr_names_the_first_three():
    assert repr(some()) == "Detections(3: raccoon 0.90, dog 0.60, cat 0.30)"
    assert repr(some().above(1)) == "Detections(0)"
    four = Detections(np.zeros((4, 4)), [0.5] * 4, [0] * 4, NAMES)
    assert repr(four).endswith("raccoon 0.50, ...)")


def test_coco_format():
    first, second, _ = some().to_coco(7)
    assert first == {
        "image_id": 7,
        "category_id": 1,
        "bbox": [10, 20, 20.5, 40],
        "score": pytest.approx(0.9, abs=1e-6),
    }
    assert second["category_id"] == 2
    assert [entry["category_id"] for entry in some().to_coco(7, [18, 44, 90])] == [18, 44, 90]
    assert some().above(1).to_coco(7) == []
    with pytest.raises(ValueError, match="2 category ids for 3 classes"):
        some().to_coco(7, [1, 2])


def test_pycocotools_takes_the_coco_format():
    coco = pytest.importorskip("pycocotools.coco")
    import json

    truth = coco.COCO()
    truth.dataset = {"images": [{"id": 7}], "categories": [{"id": n} for n in (1, 2, 3)], "annotations": []}
    truth.createIndex()
    loaded = truth.loadRes(json.loads(json.dumps(some().to_coco(7))))
    assert len(loaded.getAnnIds(imgIds=[7])) == 3


@pytest.mark.parametrize(
    ("boxes", "scores", "classes", "message"),
    [
        ([[0, 0, 1, 1]], [0.5, 0.4], [0, 0], "must be"),
        ([[0, 0, 1]], [0.5], [0], "must be"),
        ([[0, 0, 1, 1]], [0.5], [3], "class 3 has no name: there are 3"),
        ([[0, 0, 1, 1]], [0.5], [-1], "class -1 has no name"),
        ([[0, 0, 1, np.nan]], [0.5], [0], "not finite"),
        ([[0, 0, 1, 1]], [np.inf], [0], "not finite"),
    ],
)
def test_refuses_what_does_not_fit(boxes, scores, classes, message):
    with pytest.raises(ValueError, match=message):
        Detections(boxes, scores, classes, NAMES)


# === From the Garden ===


def test_background_and_padding_are_left_out():
    outputs = garden([[0, 0, 4, 4]] * 5, [1, 0, 3, 2, 2], [0.9, 0.8, 0.7, 0.6, 0], count=4)
    found = Detections.from_garden(outputs, info((10, 10)), (10, 10), NAMES)
    assert found.classes.tolist() == [0, 2, 1]


def test_boxes_are_clipped_and_empty_ones_dropped():
    boxes = [[-5, -5, 30, 90], [0, 41, 10, 60], [3, 3, 3, 8], [1, 2, 3, 4]]
    # An image 20 high and 40 wide in a network input of 64 x 64.
    found = Detections.from_garden(garden(boxes, [1, 1, 1, 2]), info((20, 40)), (20, 40), NAMES)
    assert found.boxes.tolist() == [[0, 0, 40, 20], [2, 1, 4, 3]]
    assert found.classes.tolist() == [0, 1]


def test_nothing_found():
    found = Detections.from_garden(garden([[0, 0, 0, 0]] * 3, [0] * 3, count=0), info((9, 9)), (9, 9), NAMES)
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)


def test_a_network_that_has_diverged_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        Detections.from_garden(garden([[0, 0, np.nan, 1]], [1]), info((9, 9)), (9, 9), NAMES)


def test_floats_of_an_export_are_taken():
    outputs = garden([[0, 0, 4, 4]], [1]) | {"detection_classes": np.float32([2]), "num_detections": np.float32(1)}
    assert Detections.from_garden(outputs, info((9, 9)), (9, 9), NAMES).classes.tolist() == [1]


sides = st.integers(1, 4000)
shares = st.floats(0, 1)


@given(height=sides, width=sides, side=st.integers(32, 1333), corners=st.tuples(*[shares] * 4), cut=st.booleans())
def test_boxes_come_back_from_the_network_input(height, width, side, corners, cut):
    """As `resize_and_crop_image` scales: the aspect is kept, sides are rounded, and jitter may cut off a part."""
    factor = min(side / height, side / width) * (1.5 if cut else 1)
    scale = np.maximum(1, np.round(np.array([height, width]) * factor)) / [height, width]
    offset = np.floor(np.maximum(0, scale * [height, width] - side) / 2)
    top, bottom = sorted((corners[0] * height, corners[1] * height))
    left, right = sorted((corners[2] * width, corners[3] * width))
    if bottom - top < 0.01 or right - left < 0.01:
        return
    box = np.array([top, left, bottom, right]) * np.tile(scale, 2) - np.tile(offset, 2)
    outputs = garden([[0] * 4], [1]) | {"detection_boxes": box[None]}
    image_info = np.array([[height, width], [side, side], scale, offset])
    found = Detections.from_garden(outputs, image_info, (height, width), NAMES)
    np.testing.assert_allclose(found.boxes, [[left, top, right, bottom]], rtol=0, atol=1e-3)

"""COCO JSON that is mangled at random gives a sound dataset or one line."""

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_nasnet.detection.data.annotations import read_dataset
from keras_nasnet.detection.data.dataset import KINDS
from tests.support.small_coco import CONTENT, write_coco

ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 60)
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=5)
    | st.sampled_from([10, 20, 3, 7, "a.jpg", "../images/b.jpg", "\0", "x" * 300, 10**400, [1, 1, 5, 5]]),
    lambda value: (
        st.lists(value, max_size=4)
        | st.dictionaries(st.sampled_from(["id", "bbox", "name", "file_name"]), value, max_size=3)
    ),
    max_leaves=8,
)


@st.composite
def mangled(draw):
    """The sound content with some values, at any depth, replaced, removed or doubled."""
    content = copy.deepcopy(CONTENT)
    for _ in range(draw(st.integers(1, 6))):
        place = content
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            if isinstance(place[key], dict | list) and place[key] and draw(st.integers(0, 3)):
                place = place[key]
                continue
            change = draw(st.sampled_from(["replace", "replace", "remove", "double"]))
            if change == "replace":
                place[key] = draw(ANYTHING)
            elif change == "remove":
                del place[key]
            elif isinstance(place, list):
                place.append(copy.deepcopy(place[key]))
            break
    return content


@pytest.fixture(scope="module")
def mangled_folder(tmp_path_factory):
    return write_coco(tmp_path_factory.mktemp("mangled"))


@given(content=mangled())
def test_mangled_json_gives_a_sound_dataset_or_one_line(mangled_folder, content):
    (mangled_folder / "annotations_coco.json").write_text(json.dumps(content))
    try:
        dataset = read_dataset(mangled_folder)
    except ValueError as error:
        assert "\n" not in str(error) and not isinstance(error, UnicodeError)
        return
    assert dataset.class_names and len(set(dataset.class_names)) == len(dataset.class_names)
    assert all(problem.kind in KINDS and "\n" not in str(problem) for problem in dataset.problems)
    for image in dataset.images:
        for box in image.boxes:
            assert 0 <= box.left < box.left + box.width <= image.width + 1e-9
            assert 0 <= box.top < box.top + box.height <= image.height + 1e-9
            assert 0 <= box.category < len(dataset.class_names)
            assert 0 < box.area <= box.width * box.height


@given(content=ANYTHING)
def test_any_json_is_refused_in_a_line(mangled_folder, content):
    (mangled_folder / "annotations_coco.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"not (COCO )?JSON"):
        read_dataset(mangled_folder)

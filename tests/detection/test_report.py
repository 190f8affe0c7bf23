"""The COCO evaluator's figures as data, table and files."""

import contextlib
import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest

from keras_nasnet.detection import report

NAMES = ("raccoon", "a | b", "cat")


def metrics(**values):
    return {"AP": 0.5, "AP50": 0.75, "AP75": 0.25, "APs": -1, "APm": 0.125, "APl": 0} | values


def with_classes():
    found = {name: np.float32(value) for name, value in metrics(ARmax1=0.3).items()}
    for name, value in (("raccoon", 0.4), ("a | b", 0.6)):
        found[f"Precision mAP ByCategory/{name}"] = np.float32(value)
        found[f"Precision mAP ByCategory@50IoU/{name}"] = np.float32(value + 0.1)
        found[f"Precision mAP ByCategory (small)/{name}"] = np.float32(-1)
        found[f"Recall AR@1 ByCategory/{name}"] = np.float32(1)
    return found


def evaluated(seed=0, classes=(1, 3)):
    """A real evaluation of boxes that are near those of some images."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    generator = np.random.default_rng(seed)
    annotations, found = [], []
    for image in range(1, 13):
        for _ in range(4):
            box = np.concatenate([generator.uniform(0, 200, 2), generator.uniform(8, 150, 2)])
            category = int(generator.choice(classes))
            annotations.append(
                {"id": len(annotations) + 1, "image_id": image, "category_id": category, "iscrowd": 0}
                | {"bbox": box.tolist(), "area": float(box[2] * box[3])}
            )
            moved = (box + generator.normal(0, 4, 4)).tolist()
            found.append(
                {"image_id": image, "category_id": category, "bbox": moved, "score": float(generator.random())}
            )
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(1, 13)],
        "categories": [{"id": category, "name": NAMES[category - 1]} for category in classes],
        "annotations": annotations,
    }
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


# === Summary ===


def test_no_such_boxes_is_none():
    summary = report.summarise(metrics(), NAMES)
    assert summary == {
        "AP": 0.5,
        "AP50": 0.75,
        "AP75": 0.25,
        "APs": None,
        "APm": 0.125,
        "APl": 0,
        "per_class": [],
    }


def test_classes_are_in_order_and_those_without_boxes_are_there():
    summary = report.summarise(with_classes(), NAMES)
    assert [entry["name"] for entry in summary["per_class"]] == list(NAMES)
    raccoon, second, cat = summary["per_class"]
    assert (raccoon["AP"], raccoon["AP50"], raccoon["APs"]) == (0.4, 0.5, None)
    assert second["AP"] == 0.6
    assert set(cat.values()) == {"cat", None}


def test_what_is_not_the_evaluators_is_refused():
    incomplete = metrics()
    del incomplete["AP75"]
    with pytest.raises(ValueError, match="no AP75"):
        report.summarise(incomplete, NAMES)
    with pytest.raises(ValueError, match="'2', which is none of the class names"):
        report.summarise(metrics() | {"Precision mAP ByCategory/2": 0.5}, NAMES)


def test_the_names_are_those_of_the_official_evaluator():
    spec = importlib.util.find_spec("official")
    if spec is None:
        pytest.skip("tf-models-official is not installed")
    folder = next(iter(spec.submodule_search_locations))
    source = Path(folder, "vision", "evaluation", "coco_evaluator.py").read_text(encoding="utf-8")
    for figure, (key, *_) in report._FIGURES.items():
        assert f"'{figure}'" in source
        assert f"'{key}'" in source


# === Classes ===


def test_the_figures_of_each_class_are_those_of_an_evaluation_of_it_alone():
    from copy import deepcopy

    evaluation = evaluated()
    overall = dict(zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), evaluation.stats[:6], strict=True))
    summary = report.summarise(overall | report.category_metrics(evaluation, NAMES), NAMES)
    assert 0.1 < summary["AP"] < 0.95
    for category in (1, 3):
        alone = deepcopy(evaluation)
        alone.params.catIds = [category]
        with contextlib.redirect_stdout(io.StringIO()):
            alone.evaluate()
            alone.accumulate()
            alone.summarize()
        entry = summary["per_class"][category - 1]
        for figure, expected in zip(("AP", "AP50", "AP75", "APs", "APm", "APl"), alone.stats[:6], strict=True):
            assert entry[figure] == pytest.approx(expected, abs=1e-6)
    assert summary["per_class"][1] == {"name": "a | b"} | dict.fromkeys(overall)
    both = [summary["per_class"][place]["AP"] for place in (0, 2)]
    assert summary["AP"] == pytest.approx(np.mean(both), abs=1e-6)


# === Files ===


def test_markdown_table():
    lines = report.to_markdown(report.summarise(with_classes(), NAMES)).splitlines()
    assert lines[0] == "| class | AP | AP50 | AP75 | APs | APm | APl |"
    assert lines[1] == "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    assert lines[2] == "| all | 0.500 | 0.750 | 0.250 | – | 0.125 | 0.000 |"
    assert lines[3] == "| raccoon | 0.400 | 0.500 | – | – | – | – |"
    assert lines[4].startswith("| a \\| b | 0.600 |")
    assert lines[5] == "| cat | – | – | – | – | – | – |"


def test_names_of_classes_are_text_in_a_table():
    summary = dict.fromkeys(("AP", "AP50", "AP75", "APs", "APm", "APl"), 0.5)
    summary |= {"per_class": [{**summary, "name": "\x9b2J | [cat](http://x) é"}]}
    assert "\\x9b2J \\| \\[cat\\](http://x) é" in report.to_markdown(summary)


def test_files(tmp_path):
    summary = report.summarise(with_classes(), NAMES)
    for _ in range(2):
        report.write(summary, tmp_path / "run")
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["results.json", "results.md"]
    text = (tmp_path / "run" / "results.json").read_text(encoding="utf-8")
    assert json.loads(text) == summary
    assert '"APs": null' in text
    assert (tmp_path / "run" / "results.md").read_text(encoding="utf-8") == report.to_markdown(summary)


def test_what_json_cannot_hold_leaves_the_files_as_they_were(tmp_path):
    report.write(report.summarise(metrics(), NAMES), tmp_path)
    before = (tmp_path / "results.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        report.write(report.summarise(metrics(AP=float("nan")), NAMES), tmp_path)
    assert (tmp_path / "results.json").read_text(encoding="utf-8") == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["results.json", "results.md"]

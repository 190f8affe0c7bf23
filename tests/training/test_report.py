"""The pictures and the table that a run leaves."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_nasnet.training.history import COLUMNS, History
from keras_nasnet.training.report import class_report, confusion_matrix, plot_confusion, plot_curves

MATRIX = np.array([[3, 1, 0], [0, 4, 0], [2, 0, 0]])


def write_history(folder, epochs, **changes):
    with History(folder) as history:
        history.restore(
            dict.fromkeys(COLUMNS, 1 / epoch) | {"epoch": epoch, "step": 7 * epoch} | changes
            for epoch in range(1, epochs + 1)
        )
    return history.path


def pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB")).astype(np.int16)  # differences have a sign


def border(picture, width=6):
    """The pixels along the edge: text that is cut off would reach it."""
    sides = (picture[:width], picture[-width:], picture[:, :width], picture[:, -width:])
    return np.concatenate([side.reshape(-1, 3) for side in sides])


# === Confusion matrix ===


def test_confusion_matrix_counts():
    generator = np.random.default_rng(0)
    labels, predictions = generator.integers(0, 7, (2, 500))
    expected = np.zeros((7, 7), int)
    for label, prediction in zip(labels, predictions, strict=True):
        expected[label, prediction] += 1
    matrix = confusion_matrix(labels.astype(np.uint8), predictions.astype(np.int32), 7)
    assert matrix.dtype == np.int64
    np.testing.assert_array_equal(matrix, expected)


def test_confusion_matrix_of_many_classes_and_of_none():
    # 999 * 1000 does not fit into the labels' own int16
    matrix = confusion_matrix(np.array([999], np.int16), np.array([998], np.int16), 1000)
    assert matrix.shape == (1000, 1000) and matrix[999, 998] == matrix.sum() == 1
    assert confusion_matrix([], [], 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("labels", "predictions", "word"),
    [
        ([0, 1], [0], r"labels \(2,\) and predictions \(1,\) must have one shape"),
        ([[0]], [[0]], r"must have one shape \(n,\)"),
        ([0.0], [0], "labels are float64: they must be integers"),
        ([0], [3], "predictions go from 3 to 3: they must be 0 to 2"),
        ([-1], [0], "labels go from -1 to -1"),
    ],
)
def test_confusion_matrix_refuses(labels, predictions, word):
    with pytest.raises(ValueError, match=word):
        confusion_matrix(labels, predictions, 3)


# === Table ===


def test_class_report():
    assert class_report(MATRIX, ["ants", "bees", "praying\nmantis"]) == (
        "class           precision  recall     F1  images\n"
        "ants                0.600   0.750  0.667       4\n"
        "bees                0.800   1.000  0.889       4\n"
        "praying mantis          -   0.000  0.000       2\n"
        "\n"
        "accuracy 0.7000: 7 of 10 images right\n"
    )


def test_class_report_of_nothing():
    assert class_report(np.zeros((2, 2), int), ["a", "b"]).splitlines() == [
        "class  precision  recall     F1  images",
        "a              -       -      -       0",
        "b              -       -      -       0",
        "",
        "accuracy -: 0 of 0 images right",
    ]


@pytest.mark.parametrize(
    ("matrix", "names", "word"),
    [
        (np.zeros((2, 3), int), ["a", "b"], r"has shape \(2, 3\): it must be \(classes, classes\)"),
        (np.zeros((0, 0), int), [], r"has shape \(0, 0\)"),
        (np.zeros((2, 2)), ["a", "b"], "must hold counts"),
        (-np.eye(2, dtype=int), ["a", "b"], "must hold counts"),
        (np.eye(2, dtype=int), ["a"], "there are 1 class names for 2 classes"),
    ],
)
def test_wrong_matrices_are_refused(tmp_path, matrix, names, word):
    with pytest.raises(ValueError, match=word):
        class_report(matrix, names)
    with pytest.raises(ValueError, match=word):
        plot_confusion(matrix, names, tmp_path / "confusion.png")
    assert list(tmp_path.iterdir()) == []


# === Pictures ===


# 26 classes have names and no counts, as 120 have.
@pytest.mark.parametrize("classes", [1, 2, 25, 26, pytest.param(120, marks=pytest.mark.slow), 1000])
def test_confusion_picture_shows_every_cell_and_clips_no_text(tmp_path, classes):
    """One wrong cell more makes another picture; names of any length and with dollars stay inside."""
    names = [rf"$\no{number}$_" + "long name " * (number % 5) for number in range(classes)]
    matrix = np.eye(classes, dtype=np.int64) * 50
    plot_confusion(matrix, names, tmp_path / "confusion.png")
    before = pixels(tmp_path / "confusion.png")
    assert (border(before) == 255).all()
    assert max(before.shape) < 3000
    if classes > 1:
        matrix[classes // 2, 0] += 1
        plot_confusion(matrix, names, tmp_path / "confusion.png")
        after = pixels(tmp_path / "confusion.png")
        assert after.shape == before.shape
        changed = np.argwhere((after != before).any(axis=-1))
        # The cell of this row, in the first column: left of the middle, about half way down.
        cell = changed[changed[:, 0] > 0.1 * before.shape[0]]
        assert len(cell) and cell[:, 1].min() < before.shape[1] / 2
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]


def test_counts_of_many_digits_fit_their_cells(tmp_path):
    """No number reaches the border between two cells."""
    plot_confusion(np.full((4, 4), 123456789), list("abcd"), tmp_path / "confusion.png")
    picture = pixels(tmp_path / "confusion.png")
    colours, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
    cell_colour = colours[np.argsort(counts)[-2]]  # after white
    rows, columns = np.nonzero((picture == cell_colour).all(axis=-1))
    side = rows.max() - rows.min() + 1
    dark = (picture.sum(axis=-1) < 250)[rows.min() + 3 : rows.max() - 3]
    assert dark[:, columns.min() + side // 8].any()  # a number in the middle of a cell
    for number in (1, 2, 3):
        border = columns.min() + side * number // 4
        assert not dark[:, border - 3 : border + 4].any()


def test_curves(tmp_path):
    path = write_history(tmp_path, 40)
    plot_curves(path, tmp_path / "curves.png")
    picture = pixels(tmp_path / "curves.png")
    assert (border(picture) == 255).all()
    for colour in ((31, 119, 180), (217, 95, 2)):  # training and validation, in both panels
        columns = np.argwhere((abs(picture - colour) < 8).all(axis=-1))[:, 1]
        assert columns.min() < 0.4 * picture.shape[1] and columns.max() > 0.9 * picture.shape[1]


def test_curves_without_validation(tmp_path):
    path = write_history(tmp_path, 3, validation_loss=None, validation_accuracy=None)
    plot_curves(path, tmp_path / "curves.png")
    assert not (abs(pixels(tmp_path / "curves.png") - (217, 95, 2)) < 8).all(axis=-1).any()


@pytest.mark.parametrize("changes", [{}, {"loss": float("nan")}, {"validation_loss": float("inf")}, {"accuracy": None}])
def test_curves_of_one_epoch_and_of_values_that_are_none(tmp_path, recwarn, changes):
    plot_curves(write_history(tmp_path, 1, **changes), tmp_path / "curves.png")
    assert (border(pixels(tmp_path / "curves.png")) == 255).all()
    assert not recwarn.list


def test_curves_refuse_a_history_with_nothing_to_draw(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        plot_curves(tmp_path / "none.csv", tmp_path / "curves.png")
    path = write_history(tmp_path, 0)
    with pytest.raises(ValueError, match="has no row yet"):
        plot_curves(path, tmp_path / "curves.png")
    path.write_text("epoch,step,seconds\n1,10,2.5\n")
    with pytest.raises(ValueError, match="no loss and no accuracy"):
        plot_curves(path, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()


def test_a_picture_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    png = tmp_path / "confusion.png"
    plot_confusion(MATRIX, ["a", "b", "c"], png)
    before = png.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="No space left"):
            plot_confusion(MATRIX.T, ["a", "b", "c"], png)
    assert png.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["confusion.png"]


def test_names_in_other_scripts_give_no_warning(tmp_path, recwarn):
    plot_confusion(MATRIX, ["犬", "猫", "鳥"], tmp_path / "confusion.png")
    assert not recwarn.list
    assert "犬" in class_report(MATRIX, ["犬", "猫", "鳥"])


def test_uses_no_pyplot_and_imports_no_framework(tmp_path):
    """No window system, no figure kept, whatever backend the user has chosen."""
    write_history(tmp_path, 2)
    code = (
        "import sys, numpy; from keras_nasnet.training.report import *\n"
        "plot_curves('history.csv', 'curves.png'); plot_confusion(numpy.eye(2, dtype=int), 'ab', 'confusion.png')\n"
        "print(sorted({'matplotlib.pyplot', 'tensorflow', 'keras', 'tensorboardX'} & set(sys.modules)))"
    )
    environment = {name: value for name, value in os.environ.items() if name != "DISPLAY"} | {"MPLBACKEND": "TkAgg"}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert result.stdout == "[]\n"
    assert pixels(tmp_path / "confusion.png").size and pixels(tmp_path / "curves.png").size

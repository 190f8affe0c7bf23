"""Pictures and tables of a run: curves, confusion matrix, a table by class. Imports no Keras, opens no window."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_nasnet.common.escape import printable
from keras_nasnet.common.files import StrPath, replacing
from keras_nasnet.training.history import Row, read_history

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAINING, _VALIDATION = "#1f77b4", "#d95f02"
_LONGEST_NAME = 32  # characters of a class name; longer ones are cut in the pictures
_MOST_NUMBERS = 25  # classes up to which the cells of a confusion matrix hold their counts
_MOST_NAMES = 120  # classes up to which its axes name them


def plot_curves(history_csv: StrPath, png: StrPath) -> None:
    """Draw the losses and accuracies of a run over its epochs into a PNG file.

    Args:
        history_csv: that `History` wrote; columns without a value are left out.
        png: path of the picture, which appears when it is whole.

    Raises:
        ValueError: if the history is missing, damaged, or has no row yet.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    rows = read_history(history_csv)
    if not rows:
        raise ValueError(f"{history_csv} has no row yet: the curves begin with the end of the first epoch")
    panels = [panel for panel in ("loss", "accuracy") if _has(rows, panel) or _has(rows, f"validation_{panel}")]
    if not panels:
        raise ValueError(f"{history_csv} has no loss and no accuracy to draw")
    epochs = [int(row["epoch"] or 0) for row in rows]
    figure = Figure(figsize=(5.5 * len(panels), 4.2), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        _curve(axes, rows, panel, "training", _TRAINING)
        _curve(axes, rows, f"validation_{panel}", "validation", _VALIDATION)
        axes.set_title(_panel_title(rows, panel))
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss" if panel == "loss" else "accuracy (share of images)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
        axes.grid(alpha=0.3)
        axes.legend()
    _save(figure, png)


def _has(rows: Sequence[Row], column: str) -> bool:
    return any(row.get(column) is not None for row in rows)


def _curve(axes: "Axes", rows: Sequence[Row], column: str, label: str, colour: str) -> None:
    if not _has(rows, column):
        return
    epochs = np.array([row["epoch"] for row in rows], float)
    values = np.array([row[column] for row in rows], float)  # None becomes NaN, a gap
    # Markers, because one epoch alone draws no line.
    axes.plot(epochs, values, color=colour, label=label, marker="o" if len(rows) <= 30 else "", markersize=3.5)


def _panel_title(rows: Sequence[Row], panel: str) -> str:
    column, best = f"validation_{panel}", min if panel == "loss" else max
    values = {row["epoch"]: row.get(column) for row in rows}
    finite = {epoch: value for epoch, value in values.items() if value is not None and np.isfinite(value)}
    if not finite:
        return panel.capitalize()
    epoch = best(finite, key=lambda epoch: finite[epoch])
    return f"{panel.capitalize()}: best validation {finite[epoch]:.4f}, epoch {epoch}"


def confusion_matrix(labels: Any, predictions: Any, classes: int) -> np.ndarray:
    """Count the images of each true class (rows) by predicted class (columns).

    Args:
        labels: true classes, integers (n,), 0 to classes - 1.
        predictions: predicted classes, likewise.
        classes: how many there are.

    Returns:
        int64 (classes, classes).

    Raises:
        ValueError: if the two differ in shape, are no integers, or are out of range.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.ndim != 1 or labels.shape != predictions.shape:
        raise ValueError(f"labels {labels.shape} and predictions {predictions.shape} must have one shape (n,)")
    for what, values in (("labels", labels), ("predictions", predictions)):
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise ValueError(f"{what} are {values.dtype}: they must be integers, the numbers of classes")
        if values.size and not 0 <= values.min() <= values.max() < classes:
            raise ValueError(f"{what} go from {values.min()} to {values.max()}: they must be 0 to {classes - 1}")
    cells = labels.astype(np.int64) * classes + predictions.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).astype(np.int64).reshape(classes, classes)


def class_report(matrix: np.ndarray, class_names: Sequence[str]) -> str:
    """Return a table in plain text: precision, recall, F1 and images of each class, and the overall accuracy.

    A dash stands where a number is undefined: the precision of a class that was never
    predicted, the recall of one without images.

    Args:
        matrix: int64 (classes, classes), rows are the true classes.
        class_names: one for each class.
    """
    matrix, names = _checked(matrix, class_names)
    right, images, predicted = np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)
    width = max(len("class"), *map(len, names))
    count = max(len("images"), len(str(images.max())))
    lines = [f"{'class':{width}}  precision  recall     F1  {'images':>{count}}"]
    for number, name in enumerate(names):
        precision = _ratio(right[number], predicted[number])
        recall = _ratio(right[number], images[number])
        f1 = _ratio(2 * right[number], predicted[number] + images[number])
        lines.append(f"{name:{width}}  {precision:>9}  {recall:>6}  {f1:>5}  {images[number]:>{count}}")
    total = images.sum()
    accuracy = f"{right.sum() / total:.4f}" if total else "-"
    return "\n".join([*lines, "", f"accuracy {accuracy}: {right.sum()} of {total} images right"]) + "\n"


def _ratio(part: int, whole: int) -> str:
    return f"{part / whole:.3f}" if whole else "-"


def _checked(matrix: np.ndarray, class_names: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Return the matrix, and the names on one line each."""
    matrix = np.asarray(matrix)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.size == 0:
        raise ValueError(f"the confusion matrix has shape {matrix.shape}: it must be (classes, classes)")
    if not np.issubdtype(matrix.dtype, np.integer) or matrix.min() < 0:
        raise ValueError("the confusion matrix must hold counts: integers from 0 up")
    if len(class_names) != len(matrix):
        raise ValueError(f"there are {len(class_names)} class names for {len(matrix)} classes")
    return matrix, [printable(" ".join(name.split())) for name in class_names]


def plot_confusion(matrix: np.ndarray, class_names: Sequence[str], png: StrPath) -> None:
    """Draw a confusion matrix into a PNG file; a cell's colour is its share of the images of its true class.

    Up to 25 classes the cells hold their counts, up to 120 the axes hold the names of the
    classes; beyond that the axes hold numbers of classes.

    Args:
        matrix: int64 (classes, classes), rows are the true classes.
        class_names: one for each class.
        png: path of the picture, which appears when it is whole.
    """
    import matplotlib
    from matplotlib.colors import ListedColormap, PowerNorm
    from matplotlib.figure import Figure

    matrix, names = _checked(matrix, class_names)
    classes, images = len(matrix), matrix.sum(axis=1)
    shares = matrix / np.maximum(images, 1)[:, None]
    numbered, named = classes <= _MOST_NUMBERS, classes <= _MOST_NAMES
    digits = len(str(matrix.max()))
    cell = max(0.5, 0.09 * digits + 0.1) if numbered else 0.13  # inches
    side = max(3.2, classes * cell) if named else 10.0

    # The axes fill the figure: saving grows it by just the text around them, so that none is clipped.
    figure = Figure(figsize=(side, side))
    axes = figure.add_axes((0, 0, 1, 1))
    blues = matplotlib.colormaps["Blues"]
    norm = PowerNorm(1.0, 0.0, 1.0)
    if not numbered:
        # Single mistakes are a small share: the darker colours begin early, and only an empty cell is white.
        blues, norm = ListedColormap(blues(np.linspace(0.25, 1, 256))), PowerNorm(0.5, 0.0, 1.0)
        shares = np.where(matrix, shares, np.nan)
    image = axes.imshow(shares, cmap=blues, norm=norm, interpolation="nearest", aspect="auto")
    large = max(1.0, side / 9)  # text grows with the picture
    bar = figure.colorbar(image, cax=figure.add_axes((1 + 0.2 / side, 0, 0.18 / side, 1)))
    bar.set_label("share of the true class's images", labelpad=8, fontsize=10 * large)
    accuracy = f", accuracy {np.trace(matrix) / images.sum():.4f}" if images.sum() else ""
    title = f"Confusion matrix\n{images.sum()} images, {classes} classes{accuracy}"
    axes.set_title(title, pad=12, fontsize=12 * large)
    axes.set_xlabel("predicted class", labelpad=8, fontsize=10 * large)
    axes.set_ylabel("true class", labelpad=8, fontsize=10 * large)
    if named:
        size = 10 if numbered else 7
        short = [name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…" for name in names]
        # Not parsed: a dollar in a name is a dollar, not the start of a formula.
        axes.set_yticks(range(classes), short, fontsize=size, parse_math=False)
        upright = max(map(len, short)) * size * 0.6 / 72 > side / classes
        axes.set_xticks(range(classes), short, fontsize=size, parse_math=False, rotation=90 if upright else 0)
    if numbered:
        for row, column in np.argwhere(matrix):
            colour = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=10)
    _save(figure, png, bbox_inches="tight", pad_inches=0.2, dpi=200 if not named else 130)


def _save(figure: "Figure", png: StrPath, **options: Any) -> None:
    with replacing(png) as temporary, warnings.catch_warnings():
        # Names in scripts that the font lacks are drawn as boxes; the report has them in full.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(temporary, format="png", **{"dpi": 130} | options)

"""The box around a mask, in the ways in which COCO writes masks: polygons, and run lengths of two kinds."""

from typing import Any

Bbox = list[float]


def bbox_of(segmentation: Any) -> Bbox | None:
    """Return left, top, width and height of a mask; None for what is none.

    Args:
        segmentation: polygons, [[x, y, x, y, ...], ...]; or run lengths, {"size": [height, width], "counts": ...},
            column by column, as numbers or in the letters of pycocotools.

    Example:
        >>> bbox_of([[10, 20, 30, 20, 30, 60]])
        [10, 20, 20, 40]
        >>> bbox_of({"size": [4, 5], "counts": [5, 2, 2, 2, 9]})
        [1, 1, 2, 2]
    """
    if isinstance(segmentation, dict):
        return _of_runs(segmentation.get("counts"), segmentation.get("size"))
    if not isinstance(segmentation, list):
        return None
    polygons = segmentation if all(isinstance(one, list) for one in segmentation) else [segmentation]
    points = [one for one in polygons if len(one) >= 6 and len(one) % 2 == 0]
    numbers = [value for one in points for value in one]
    if not numbers or not all(isinstance(value, int | float) and not isinstance(value, bool) for value in numbers):
        return None
    x, y = [value for one in points for value in one[::2]], [value for one in points for value in one[1::2]]
    return [min(x), min(y), max(x) - min(x), max(y) - min(y)]


def _of_runs(counts: Any, size: Any) -> Bbox | None:
    if isinstance(counts, str):
        counts = _decoded(counts)
    if not isinstance(counts, list) or not isinstance(size, list) or len(size) != 2:
        return None
    if not all(isinstance(value, int) and value >= 0 for value in (*counts, *size)) or sum(counts) > size[0] * size[1]:
        return None
    height, start = size[0], 0
    columns: list[int] = []
    rows: list[int] = []
    for number, count in enumerate(counts):
        if number % 2 and count:  # the runs alternate: outside, inside
            end = start + count - 1
            columns += [start // height, end // height]
            rows += [start % height, end % height] if start // height == end // height else [0, height - 1]
        start += count
    if not columns:
        return None
    return [min(columns), min(rows), max(columns) - min(columns) + 1, max(rows) - min(rows) + 1]


def _decoded(text: str) -> list[int] | None:
    """Run lengths of the letters of pycocotools: 5 bits each, the sixth says that more follow; then differences.

    Source: rleFrString in common/maskApi.c of cocodataset/cocoapi.
    """
    counts: list[int] = []
    value = shift = 0
    for letter in text:
        bits = ord(letter) - 48
        if not 0 <= bits < 64 or shift > 60:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value = shift = 0
    return counts

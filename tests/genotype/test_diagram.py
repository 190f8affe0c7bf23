"""Diagrams: well-formed, complete, deterministic, without overlapping boxes."""

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given

from keras_nasnet.genotype import NASNET_A, NASNET_B, NASNET_C, Genotype
from keras_nasnet.genotype.diagram import svg
from tests.support.genotypes import genotypes

SVG = "{http://www.w3.org/2000/svg}"


def cells(text):
    """For each cell: its labels, and the rectangles (left, top, right, bottom) of its boxes."""
    for group in ElementTree.fromstring(text).iter(f"{SVG}g"):
        labels = [element.text for element in group.iter(f"{SVG}text")]
        boxes = []
        for rect in group.iter(f"{SVG}rect"):
            x, y, width, height = (float(rect.get(key)) for key in ("x", "y", "width", "height"))
            boxes.append((x, y, x + width, y + height))
        yield labels, boxes


@given(genotypes())
def test_every_box_is_there_and_none_overlap(genotype):
    text = svg(genotype)
    root = ElementTree.fromstring(text)
    width, height = float(root.get("width")), float(root.get("height"))
    pictures = list(cells(text))
    assert len(pictures) == 2
    for spec, (labels, boxes) in zip((genotype.normal, genotype.reduction), pictures, strict=True):
        assert len(boxes) == spec.num_inputs + 3 * len(spec.blocks) + len(spec.outputs)
        assert len(labels) == len(boxes) + 1  # and the title
        for number, (left, top, right, bottom) in enumerate(boxes):
            assert left >= 0 and top >= 0 and right <= width and bottom <= height
            for other in boxes[:number]:
                assert right < other[0] or other[2] < left or bottom < other[1] or other[3] < top


@given(genotypes())
def test_as_many_arrows_as_edges(genotype):
    root = ElementTree.fromstring(svg(genotype))
    for spec, group in zip((genotype.normal, genotype.reduction), root.iter(f"{SVG}g"), strict=True):
        lines = [path for path in group.iter(f"{SVG}path") if path.get("fill") == "none"]
        assert len(lines) == 4 * len(spec.blocks) + sum(len(output) for output in spec.outputs)


def test_labels_of_nasnet_a():
    normal, reduction = (labels for labels, _ in cells(svg(NASNET_A)))
    assert normal[-1] == "Normal Cell" and reduction[-1] == "Reduction Cell"
    for label, count in {"sep 5x5": 2, "sep 3x3": 3, "avg 3x3": 3, "identity": 2, "add": 5, "concat": 1}.items():
        assert normal.count(label) == count, label
    assert {"h i", "h i-1"} <= set(normal)
    assert reduction.count("sep 7x7") == 2


def test_labels_of_nasnet_b_and_c():
    normal, _ = (labels for labels, _ in cells(svg(NASNET_B)))
    assert {"out 0", "out 3", "h 0", "h 3", "layer norm add"} <= set(normal) and "concat" not in normal
    normal, reduction = (labels for labels, _ in cells(svg(NASNET_C)))
    assert {"instance norm add", "1x3 3x1"} <= set(normal) and "1x7 7x1" in reduction


@pytest.mark.parametrize("name", ["<&>\"'", "]]>", "\x00\ud800"])
def test_any_name_is_escaped(name):
    root = ElementTree.fromstring(svg(Genotype(NASNET_A.normal, NASNET_A.reduction, name=name)))
    assert root.find(f"{SVG}title").text


def test_same_text_each_time():
    assert svg(NASNET_A) == svg(Genotype.from_json(NASNET_A.to_json())) == NASNET_A._repr_svg_()
    assert svg(NASNET_A) != svg(NASNET_C)

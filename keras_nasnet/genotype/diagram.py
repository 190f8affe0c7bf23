"""A genotype as an SVG picture, drawn like the paper's figures of its cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from keras_nasnet.genotype.wiring import CellWiring, GenotypeWiring, walk

_WHITE, _YELLOW, _GREEN, _PINK = "#ffffff", "#fff066", "#98e69b", "#f9c6cf"
_OPERATION_WIDTH, _COMBINE_WIDTH, _HEIGHT = 62, 118, 24
_GAP = 10  # between boxes of one row
_ROW = 60  # from the middle of one row to the next
_MARGIN = 24
_TITLE = 36


@dataclass(frozen=True)
class _Box:
    """A labelled rectangle; x and y are its middle."""

    x: float
    y: float
    width: float
    label: str
    colour: str

    @property
    def top(self) -> float:
        return self.y - _HEIGHT / 2

    @property
    def bottom(self) -> float:
        return self.y + _HEIGHT / 2


@dataclass
class _Drawing:
    """Boxes, and arrows from the top of one box to the bottom of another; a dashed one for each input but h_i."""

    boxes: list[_Box]
    arrows: list[tuple[_Box, _Box, bool]]
    width: float
    height: float


def svg(genotype: GenotypeWiring) -> str:
    """Return an SVG picture of a genotype: its normal cell on the left, its reduction cell on the right.

    Inputs stand at the bottom (white), operations (yellow) and combinations (green) above what
    they read, outputs (pink) on top. The same genotype gives the same text.
    """
    drawings = [_draw(genotype.normal), _draw(genotype.reduction)]
    height = max(drawing.height for drawing in drawings) + _TITLE
    width = sum(drawing.width for drawing in drawings)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height:g}" '
        f'viewBox="0 0 {width:g} {height:g}" font-family="Helvetica, Arial, sans-serif" font-size="12" '
        'text-anchor="middle">',
        f"<title>{_text(genotype.name) or 'Genotype'}</title>",
        f'<rect width="{width:g}" height="{height:g}" fill="{_WHITE}"/>',
    ]
    left = 0.0
    for title, drawing in zip(("Normal Cell", "Reduction Cell"), drawings, strict=True):
        parts.append(f'<g transform="translate({left:g} {height - _TITLE - drawing.height:g})">')
        parts += [_arrow(*arrow) for arrow in drawing.arrows]
        parts += [_rectangle(box) for box in drawing.boxes]
        middle, base = drawing.width / 2, drawing.height + 10
        parts.append(f'<text x="{middle:g}" y="{base:g}" font-size="16" font-style="italic">{title}</text>')
        parts.append("</g>")
        left += drawing.width
    return "\n".join([*parts, "</svg>"]) + "\n"


@dataclass(frozen=True, eq=False)
class _State:
    """A hidden state: a cell input, or a block with what it reads and does.

    A block stands in the row above the highest block that it reads; cell inputs have row 0.
    """

    index: int
    row: int = 0
    combine: str = ""
    branches: tuple[tuple[str, "_State"], ...] = ()


class _Rows:
    """Visits a cell, and finds the row of each block."""

    def __init__(self, num_inputs: int) -> None:
        self.inputs = [_State(index) for index in range(num_inputs)]
        self.blocks: list[_State] = []

    def fit_input(self, index: int, given: _State) -> _State:
        return given

    def missing_input(self, newest: _State) -> _State:
        return newest

    def operation(self, block: int, side: int, name: str, index: int, state: _State) -> tuple[str, _State]:
        return name, state

    def combine(self, block: int, name: str, branches: Sequence[tuple[str, _State]]) -> _State:
        row = 1 + max(state.row for _, state in branches)
        self.blocks.append(_State(len(self.inputs) + block, row, name, tuple(branches)))
        return self.blocks[-1]

    def fit_output(self, index: int, state: _State) -> _State:
        return state

    def join(self, number: int, members: Sequence[tuple[int, _State]]) -> list[_State]:
        return [state for _, state in members]


def _draw(spec: CellWiring) -> _Drawing:
    cell = _Rows(spec.num_inputs)
    outputs = walk(spec, cell.inputs, cell)
    top = max(state.row for state in cell.blocks)
    rows = [[state for state in cell.blocks if state.row == row] for row in range(1, top + 1)]

    block_width = max(2 * _OPERATION_WIDTH + _GAP, _COMBINE_WIDTH) + 2 * _GAP
    output_width = _OPERATION_WIDTH + 2 * _GAP
    inner = max(max(map(len, rows)) * block_width, len(outputs) * output_width, spec.num_inputs * output_width)
    width = inner + 2 * _MARGIN
    # Rows from above: outputs, then for each row of blocks combinations and operations, then inputs.
    base = _MARGIN + _HEIGHT / 2 + (2 * top + 1) * _ROW

    def place(number: int, count: int, pitch: float) -> float:
        return width / 2 + (number - (count - 1) / 2) * pitch

    def dashed(state: _State) -> bool:
        return 0 < state.index < spec.num_inputs

    names = ["h i", "h i-1"] if spec.num_inputs <= 2 else [f"h {index}" for index in range(spec.num_inputs)]
    inputs = [
        _Box(place(number, spec.num_inputs, inner / spec.num_inputs), base, _OPERATION_WIDTH, names[index], _WHITE)
        # h i-1 on the left, as the older one
        for number, index in enumerate(reversed(range(spec.num_inputs)))
    ][::-1]
    boxes = dict(zip(cell.inputs, inputs, strict=True))
    drawing = _Drawing(list(inputs), [], width, base + _HEIGHT / 2 + _MARGIN)
    for depth, row in enumerate(rows, start=1):
        y = base - (2 * depth) * _ROW
        # Each block stands near the middle of what it reads.
        row.sort(key=lambda block: (sum(boxes[state].x for _, state in block.branches), block.index))
        for number, block in enumerate(row):
            x = place(number, len(row), inner / len(row) if depth < top or len(row) > 1 else block_width)
            boxes[block] = combine = _Box(x, y, _COMBINE_WIDTH, block.combine.replace("_", " "), _GREEN)
            drawing.boxes.append(combine)
            branches = sorted(block.branches, key=lambda branch: boxes[branch[1]].x)
            for side, (operation, state) in zip((-1, 1), branches, strict=True):
                middle = x + side * (_OPERATION_WIDTH + _GAP) / 2
                box = _Box(middle, y + _ROW, _OPERATION_WIDTH, _short(operation), _YELLOW)
                drawing.boxes.append(box)
                drawing.arrows.append((boxes[state], box, dashed(state)))
                drawing.arrows.append((box, combine, False))
    for number, members in enumerate(outputs):
        label = "concat" if len(outputs) == 1 else f"out {number}"
        x = place(number, len(outputs), inner / len(outputs))
        output = _Box(x, base - (2 * top + 1) * _ROW, _OPERATION_WIDTH, label, _PINK)
        drawing.boxes.append(output)
        drawing.arrows += [(boxes[state], output, dashed(state)) for state in members]
    return drawing


def _short(operation: str) -> str:
    """ "sep_conv_5x5" as "sep 5x5", "conv_1x7_7x1" as "1x7 7x1"."""
    words = operation.split("_")
    if words[0] in ("sep", "dil", "avg", "max"):
        return f"{words[0]} {words[-1]}"
    return " ".join(words[1:]) if len(words) == 3 else " ".join(words)


def _text(text: str) -> str:
    """Text for XML: escaped, without the characters that XML cannot hold."""
    return escape("".join(char if char.isprintable() else "\ufffd" for char in text))


def _rectangle(box: _Box) -> str:
    return (
        f'<rect x="{box.x - box.width / 2:g}" y="{box.top:g}" width="{box.width:g}" height="{_HEIGHT}" '
        f'fill="{box.colour}" stroke="#333333"/>'
        f'<text x="{box.x:g}" y="{box.y + 4:g}">{_text(box.label)}</text>'
    )


def _arrow(start: _Box, end: _Box, dashed: bool) -> str:
    """A curve that leaves upwards and arrives from below, with a head."""
    reach = min(max((start.top - end.bottom) / 2, _ROW / 2), 2 * _ROW)
    tip, dashes = end.bottom + 6, ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<path d="M{start.x:g} {start.top:g}C{start.x:g} {start.top - reach:g} {end.x:g} {tip + reach:g} '
        f'{end.x:g} {tip:g}" fill="none" stroke="#555555"{dashes}/>'
        f'<path d="M{end.x:g} {end.bottom:g}l-3.5 8h7z" fill="#555555"/>'
    )

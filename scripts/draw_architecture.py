"""Draws docs/architecture.svg: the packages in their layers, from the contract that `make lint` checks.

python scripts/draw_architecture.py
"""

import tomllib
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "architecture.svg"
WIDTH, HEIGHT, GAP, LEFT, TOP = 560, 40, 12, 96, 24
FONT = 'font-family="system-ui, sans-serif"'


def layers(pyproject: Path) -> list[list[str]]:
    """Returns the packages of each layer, highest first, from the first contract of the type "layers".

    Raises:
        ValueError: if there is no such contract.
    """
    contracts = tomllib.loads(pyproject.read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
    for contract in contracts:
        if contract["type"] == "layers":
            return [[name.strip() for name in layer.replace(":", "|").split("|")] for layer in contract["layers"]]
    raise ValueError(f"{pyproject}: import-linter has no contract of layers")


def draw(packages: list[list[str]]) -> str:
    """Returns an SVG picture: one row for each layer, the highest on top; packages of one layer beside each other."""
    height = 2 * TOP + len(packages) * (HEIGHT + GAP) - GAP
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + TOP} {height}" role="img">',
        "<title>The packages of keras-nasnet: each imports only what lies below it</title>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="4" refY="7" markerWidth="8" markerHeight="8">'
        '<path d="M0 0 L8 0 L4 8 z" fill="#64748b"/></marker></defs>',
        f'<rect width="100%" height="{height}" fill="#ffffff"/>',
        f'<line x1="{LEFT // 2}" y1="{TOP}" x2="{LEFT // 2}" y2="{height - TOP}" stroke="#64748b" stroke-width="2" '
        'marker-end="url(#tip)"/>',
        f'<text x="{LEFT // 2 - 10}" y="{height // 2}" {FONT} font-size="13" fill="#475569" text-anchor="middle" '
        f'transform="rotate(-90 {LEFT // 2 - 10} {height // 2})">imports</text>',
    ]
    for row, names in enumerate(packages):
        y = TOP + row * (HEIGHT + GAP)
        width = (WIDTH - GAP * (len(names) - 1)) / len(names)
        for column, name in enumerate(names):
            x = LEFT + column * (width + GAP)
            lines += [
                f'<rect x="{x:g}" y="{y}" width="{width:g}" height="{HEIGHT}" rx="6" fill="#e0f2fe" stroke="#0284c7"/>',
                f'<text x="{x + width / 2:g}" y="{y + HEIGHT / 2 + 5:g}" {FONT} font-size="15" fill="#0c4a6e" '
                f'text-anchor="middle">{escape(name)}</text>',
            ]
    return "\n".join([*lines, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(draw(layers(ROOT / "pyproject.toml")), encoding="utf-8")

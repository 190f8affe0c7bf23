"""Charts as SVG text: axes, points, lines, areas and bars."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keras_nasnet.search.view.report.markup import text

WIDTH = 1000
_TOP, _BOTTOM, _LEFT, _RIGHT = 14, 46, 66, 18


@dataclass(frozen=True)
class Axis:
    """What is shown along one side of a chart.

    Args:
        label: with the unit.
        low, high: ends of what is shown.
        log: whether equal lengths are equal ratios.
        whole: whether the values are counts.
    """

    label: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """Return where a value stands, from 0 (low) to 1 (high)."""
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[tuple[float, str]]:
        """Return about six round values, with how they are written."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
            return [(mark, short(mark)) for mark in marks if self.low <= mark <= self.high]
        rough = (self.high - self.low) / 6
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(digit * power for digit in (1, 2, 5, 10) if digit * power >= rough)
        step = max(step, 1.0) if self.whole else step
        decimals = max(0, -math.floor(math.log10(step)))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        values = [number * step for number in range(first, last + 1)]
        return [(value, short(value) if step >= 1 else f"{value:.{decimals}f}") for value in values]


def axis(label: str, values: Iterable[float], zero: bool = False, log: bool = False, whole: bool = False) -> Axis:
    """Return an axis that shows these values.

    Args:
        label: with the unit.
        values: finite; none gives 0 to 1.
        zero: whether it starts at 0.
        log: whether it may be logarithmic; it is where the values span more than a factor of 10.
        whole: whether the values are counts, from 1 up: no air around them.
    """
    listed = list(values) or [0.0, 1.0]
    low, high = (0.0 if zero else min(listed)), max(listed)
    if whole:
        return Axis(label, min(low, 1.0), max(high, low + 1.0, 2.0), whole=True)
    if log and low > 0 and high / low > 10:
        return Axis(label, low / 1.15, high * 1.15, log=True)
    air = 0.06 * (high - low) or 0.05 * abs(high) or 0.5
    return Axis(label, 0.0 if zero else low - air, high + air)


def short(value: float) -> str:
    """Write a number for people: 950, 1,500, 2.5M, 12G."""
    for unit, name in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:,.0f}" if abs(value) >= 100 or value == round(value) else f"{value:.3g}"


@dataclass(frozen=True)
class Plot:
    """A rectangle with two axes, and what is drawn in it. `arm` is the number that the page's toggles go by."""

    x: Axis
    y: Axis
    height: int = 340
    right: int = _RIGHT

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return where a pair of values stands, in pixels."""
        across, up = self.x.place(x), self.y.place(y)
        left = _LEFT + across * (WIDTH - _LEFT - self.right)
        return round(left, 1), round(_TOP + (1 - up) * (self.height - _TOP - _BOTTOM), 1)

    def points(self, points: Iterable[tuple[float, float, str]], colour: str, shape: str = "circle") -> str:
        """Draw (x, y, what a person reads over it); the shape is "circle", "square" or "cross"."""
        path = {
            "circle": "m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0",
            "square": "m-2.7-2.7h5.4v5.4h-5.4z",
            "cross": "m-4-4l8 8m0-8l-8 8",
        }[shape]
        marks = []
        for x, y, tip in points:
            left, top = self.at(x, y)
            marks.append(f'<path d="M{left:g} {top:g}{path}"><title>{text(tip)}</title></path>')
        if not marks:
            return ""
        return f'<g class="points {shape}" fill="{colour}" stroke="{colour}">{"".join(marks)}</g>'

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, width: float, dashes: str = "", step: bool = False
    ) -> str:
        """Draw a line through points; in steps, a value holds until the next."""
        if not points:
            return ""
        places = [self.at(*point) for point in points]
        parts = [f"M{places[0][0]:g} {places[0][1]:g}"]
        for left, top in places[1:]:
            parts.append(f"H{left:g}V{top:g}" if step else f"L{left:g} {top:g}")
        dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
        return (
            f'<path class="line" d="{"".join(parts)}" fill="none" stroke="{colour}" stroke-width="{width:g}"{dashed}/>'
        )

    def area(self, xs: Sequence[float], lows: Sequence[float], highs: Sequence[float], colour: str, tip: str) -> str:
        """Fill what lies between two lines."""
        upper = [self.at(x, y) for x, y in zip(xs, highs, strict=True)]
        lower = [self.at(x, y) for x, y in zip(xs, lows, strict=True)]
        corners = "L".join(f"{left:g} {top:g}" for left, top in upper + lower[::-1])
        return f'<path class="area" d="M{corners}z" fill="{colour}"><title>{text(tip)}</title></path>'

    def label(self, x: float, y: float, words: str) -> str:
        """Write to the right of a place."""
        left, top = self.at(x, y)
        return f'<text x="{left + 8:g}" y="{top + 4:g}">{text(words)}</text>'

    def svg(self, title: str, description: str, marks: Iterable[str]) -> str:
        """Return the chart with its axes."""
        left, bottom = _LEFT, self.height - _BOTTOM
        right = WIDTH - self.right
        parts = []
        for value, words in self.y.ticks():
            top = self.at(self.x.low, value)[1]
            parts.append(f'<path class="grid" d="M{left} {top:g}H{right}"/>')
            parts.append(f'<text x="{left - 8}" y="{top + 4:g}" text-anchor="end">{words}</text>')
        for value, words in self.x.ticks():
            across = self.at(value, self.y.low)[0]
            parts.append(f'<path class="tick" d="M{across:g} {bottom}v5"/>')
            parts.append(f'<text x="{across:g}" y="{bottom + 19}" text-anchor="middle">{words}</text>')
        parts.append(f'<path class="tick" d="M{left} {bottom}H{right}"/>')
        middle = (left + right) / 2
        parts.append(
            f'<text class="axis" x="{middle:g}" y="{self.height - 8}" text-anchor="middle">{text(self.x.label)}</text>'
        )
        middle = (_TOP + bottom) / 2
        parts.append(
            f'<text class="axis" transform="translate(14 {middle:g}) rotate(-90)" text-anchor="middle">'
            f"{text(self.y.label)}</text>"
        )
        return _svg(self.height, title, description, [*parts, *marks])


def stacked_bars(
    title: str, description: str, unit: str, rows: Sequence[tuple[str, Sequence[tuple[str, float, str]]]]
) -> str:
    """Draw a bar for each row out of (name, value, colour), one after the other."""
    pitch, bar = 44, 26
    plot = Plot(axis(unit, [sum(value for _, value, _ in parts) for _, parts in rows], zero=True), Axis("", 0, 1))
    height = _TOP + pitch * len(rows) + _BOTTOM
    marks = []
    for value, words in plot.x.ticks():
        across = plot.at(value, 0)[0]
        marks.append(f'<path class="grid" d="M{across:g} {_TOP}V{height - _BOTTOM}"/>')
        marks.append(f'<text x="{across:g}" y="{height - _BOTTOM + 19}" text-anchor="middle">{words}</text>')
    for number, (label, parts) in enumerate(rows):
        top = _TOP + number * pitch + (pitch - bar) / 2
        shown = label if len(label) <= 9 else label[:8] + "…"
        marks.append(f'<text x="{_LEFT - 8}" y="{top + bar / 2 + 4:g}" text-anchor="end">{text(shown)}</text>')
        start = 0.0
        for name, value, colour in parts:
            left, right = plot.at(start, 0)[0], plot.at(start + value, 0)[0]
            start += value
            tip = text(f"{label}, {name}: {amount(value)}")
            marks.append(
                f'<rect x="{left:g}" y="{top:g}" width="{right - left:g}" height="{bar}" fill="{colour}">'
                f"<title>{tip}</title></rect>"
            )
    middle = (_LEFT + WIDTH - _RIGHT) / 2
    marks.append(f'<text class="axis" x="{middle:g}" y="{height - 8}" text-anchor="middle">{text(unit)}</text>')
    return _svg(height, title, description, marks)


def amount(value: float) -> str:
    """Write hours for people: 0.0021 h, 3.4 h, 1,250 h."""
    return f"{short(value) if value >= 100 else f'{value:.2g}' if value < 10 else f'{value:.1f}'} h"


def _svg(height: float, title: str, description: str, marks: Iterable[str]) -> str:
    return (
        f'<div class="wide"><svg class="chart" viewBox="0 0 {WIDTH} {height:g}" role="img">'
        f"<title>{text(title)}</title><desc>{text(description)}</desc>{''.join(marks)}</svg></div>"
    )

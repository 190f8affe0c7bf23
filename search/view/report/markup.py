"""Pieces of HTML. Text that comes from a search is escaped here and in the charts, which call `text`."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from keras_nasnet.common.escape import html as text

# Okabe and Ito's colours, which colour-blind people can tell apart; arms also differ in shape and dashes.
ARM_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#a6458a", "#3b3b3b", "#56b4e9")
SHAPES = ("circle", "square")
DASHES = ("", "7 4", "2 3", "10 3 2 3")


def moment(at: float | None) -> str:
    """Write a UNIX time as UTC; a dash for none."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S") if at else "–"


def arm_colour(number: int) -> str:
    return ARM_COLOURS[number % len(ARM_COLOURS)]


def of_arm(number: int, content: str, tag: str = "g") -> str:
    """What can be hidden with its arm."""
    return f'<{tag} data-arm="{number}">{content}</{tag}>'


def legend(keys: Iterable[str]) -> str:
    return f'<ul class="legend">{"".join(keys)}</ul>'


def key(name: str, swatch: str) -> str:
    """One entry of a legend."""
    return f"<li>{swatch}{text(name)}</li>"


def arm_legend(arms: Mapping[int, str]) -> str:
    """A legend of arms, given their numbers and names."""
    return legend(of_arm(number, line_swatch(number) + text(arm), "li") for number, arm in arms.items())


def swatch(colour: str) -> str:
    square = f'<rect width="14" height="14" fill="{colour}"/>'
    return f'<svg class="swatch" viewBox="0 0 14 14" aria-hidden="true">{square}</svg>'


def line_swatch(number: int) -> str:
    """The line and the mark of an arm."""
    dashes = DASHES[number % len(DASHES)]
    marks = {"circle": '<circle cx="17" cy="7" r="4.5"/>', "square": '<rect x="13" y="3" width="8" height="8"/>'}
    return (
        f'<svg class="swatch line" viewBox="0 0 34 14" aria-hidden="true" fill="{arm_colour(number)}">'
        f'<path d="M0 7H34" stroke="{arm_colour(number)}" stroke-width="2.6" stroke-dasharray="{dashes}"/>'
        f"{marks[SHAPES[number % 2]]}</svg>"
    )


def nothing(words: str) -> str:
    return f'<p class="nothing">{text(words)}</p>'


def caption(words: str) -> str:
    return f'<p class="caption">{text(words.strip())}</p>'


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[object]],
    numbers: Iterable[int] = (),
    arms: Sequence[int] | None = None,
    kind: str = "",
) -> str:
    """A table whose columns `numbers` stand flush right; `arms` are those of its rows; `kind` is "tall" or "small"."""
    flush = set(numbers)

    def cells(tag: str, row: Sequence[object]) -> str:
        return "".join(
            f"<{tag}{' class=number' if place in flush else ''}>{text(cell)}</{tag}>" for place, cell in enumerate(row)
        )

    lines = [cells("td", row) for row in rows]
    if arms is None:
        body = "".join(f"<tr>{line}</tr>" for line in lines)
    else:
        body = "".join(of_arm(arm, line, "tr") for arm, line in zip(arms, lines, strict=True))
    scroll = "wide tall" if kind == "tall" else "wide"
    return (
        f'<div class="{scroll}" tabindex="0"><table class="{kind}"><thead><tr>{cells("th", head)}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )

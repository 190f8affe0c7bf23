"""The use of operations over time."""

from math import inf

from keras_nasnet.search.view.report.charts import Axis, Plot, axis
from keras_nasnet.search.view.report.markup import caption, key, legend, nothing, swatch
from keras_nasnet.search.view.report.record import Record, operation_shares

# A hue for each kind of operation, a shade for each size; the order is that of the stack.
_OPERATION_COLOURS = {
    "sep_conv_3x3": "#08519c",
    "sep_conv_5x5": "#3d8dc4",
    "sep_conv_7x7": "#9ecae1",
    "dil_sep_conv_3x3": "#1a9187",
    "dil_sep_conv_5x5": "#85d0c6",
    "dil_conv_3x3": "#00544d",
    "conv_1x1": "#dcd3ea",
    "conv_3x3": "#5b3a8c",
    "conv_1x3_3x1": "#8a6fb5",
    "conv_1x7_7x1": "#b6a3d3",
    "nor_conv_1x1": "#b6a3d3",
    "nor_conv_3x3": "#5b3a8c",
    "avg_pool_3x3": "#f6d860",
    "max_pool_3x3": "#a63603",
    "max_pool_5x5": "#e6772e",
    "max_pool_7x7": "#fdb97d",
    "identity": "#9a9a9a",
    "skip_connect": "#9a9a9a",
    "zero": "#dedede",
    "none": "#dedede",
}
_OTHER_COLOUR = "#e7a6c9"  # of operations that are not the package's own


def usage_chart(record: Record, arm: str) -> str:
    proposals = record.proposals(arm)
    names, middles, shares = operation_shares(record.space, proposals)
    if not len(middles):
        return nothing("No child was proposed yet.")
    colours = [_OPERATION_COLOURS.get(name, _OTHER_COLOUR) for name in names]
    known = list(_OPERATION_COLOURS)
    order = sorted(range(len(names)), key=lambda place: [*known, names[place]].index(names[place]))
    xs = [1.0, *middles.tolist(), float(max(len(proposals), 2))]
    across = axis("proposals of the arm", [len(proposals)], whole=True)
    plot = Plot(across, Axis("share", 0.0, 1.0), 300, right=150)
    marks, keys = [], []
    lows, below = [0.0] * len(xs), -inf
    for place in order:
        share = [shares[0, place], *shares[:, place].tolist(), shares[-1, place]]
        highs = [min(1.0, low + value) for low, value in zip(lows, share, strict=True)]
        mean = float(shares[:, place].mean())
        tip = f"{names[place]}: {mean:.1%} of all, {share[0]:.1%} at first, {share[-1]:.1%} at last"
        marks.append(plot.area(xs, lows, highs, colours[place], tip))
        middle = (lows[-1] + highs[-1]) / 2
        if middle - below > 0.058 and share[-1] > 0.03:  # else names would stand on one another
            marks.append(plot.label(plot.x.high, middle, names[place]))
            below = middle
        keys.append(key(names[place], swatch(colours[place])))
        lows = highs
    description = "Shares at last: " + ", ".join(f"{names[place]} {shares[-1, place]:.1%}" for place in order)
    words = f"Share of each operation among {len(proposals):,} proposals, in {len(middles)} consecutive windows."
    return plot.svg(f"Use of operations by {arm}", description, marks) + legend(keys) + caption(words)

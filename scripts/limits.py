"""Prints the table of limits in docs/security.md, from `keras_nasnet/common/limits.py`.

python -m scripts.limits
"""

import re
from pathlib import Path

from keras_nasnet.common import limits

_ROW = re.compile(r"([A-Z_]+) = \S.*?  # (.+)")


def table() -> str:
    """Return the limits as Markdown, in groups as in the module."""
    lines: list[str] = []
    for line in Path(limits.__file__).read_text(encoding="utf-8").split('"""', 2)[2].splitlines():
        if line.startswith("# "):
            lines += ["", f"**{line[2:].rstrip('.')}**", "", "| limit | value | |", "|---|---:|---|"]
        elif match := _ROW.fullmatch(line):
            value = getattr(limits, match[1])
            shown = f"{value:,}" if isinstance(value, int) else f"{value:g}"
            lines.append(f"| `{match[1]}` | {shown} | {match[2]} |")
        elif line.strip():
            raise ValueError(f"{line!r}: a limit is a name, a value and a comment on one line")
    return "\n".join(lines).strip() + "\n"


if __name__ == "__main__":
    print(table(), end="")

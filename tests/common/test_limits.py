"""Limits stand once, and docs/security.md lists them."""

import re
from collections import Counter
from pathlib import Path

from keras_nasnet.common import limits
from scripts.limits import table
from tests.support import ROOT


def test_each_limit_has_one_value():
    names = re.findall(r"^([A-Z_]+) = ", Path(limits.__file__).read_text(), re.MULTILINE)
    assert names and [name for name, count in Counter(names).items() if count > 1] == []


def test_the_page_lists_them():
    """`python -m scripts.limits` prints what belongs there."""
    assert table() in (ROOT / "docs" / "security.md").read_text(encoding="utf-8")

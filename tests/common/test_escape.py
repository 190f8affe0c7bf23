import csv
import io

import pytest

from keras_nasnet.common.errors import one_line
from keras_nasnet.common.escape import csv_cell, html, markdown, printable

HOSTILE = "cat\x1b[31m\r\x9b2J\u202e\udcff"


def test_no_control_character_reaches_a_terminal():
    shown = printable(HOSTILE)
    assert shown.isprintable() and shown.startswith("cat\\x1b[31m")
    assert one_line(ValueError(HOSTILE)).isprintable()
    shown.encode("utf-8")


def test_names_of_people_stay_as_they_are():
    for name in ("Søren", "猫", "naïve café", "a\u00a0b", "smile 🙂"):
        assert printable(name) == name


def test_html_holds_no_tag_and_no_character_that_it_forbids():
    assert html('<img src="x">\x00') == "&lt;img src=&quot;x&quot;&gt;\ufffd"


def test_markdown_shows_what_was_given():
    assert markdown("a|b <i> ![x](y)\n---") == r"a\|b \<i\> \!\[x\](y)\\n---"


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "=\t1"])
def test_a_cell_of_a_table_is_no_formula(formula):
    file = io.StringIO()
    csv.writer(file).writerow([csv_cell(formula)])
    (row,) = csv.reader(io.StringIO(file.getvalue()))
    assert row[0].startswith("'")

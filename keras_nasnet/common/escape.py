"""Text from outside, written so that it is text wherever it goes: a terminal, HTML, Markdown, a table."""

import html as _html
import re
import reprlib

# Control characters, lone surrogates (of file names that are no UTF-8), and marks that turn the direction of text.
_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_SHORT = reprlib.Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 3, 80, 80
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|!~&$])")


def printable(text: object) -> str:
    r"""Returns text on one line that moves no cursor and changes no colour of a terminal.

    Control characters become what Python's `repr` calls them.

    Example:
        >>> print(printable("cat\x1b[2J\nError: all is well"))
        cat\x1b[2J\nError: all is well
    """
    return _CONTROLS.sub(lambda match: repr(match[0])[1:-1], str(text))


def shown(value: object) -> str:
    """Returns a value as Python would write it, on one line of bounded length: for messages about wrong values.

    Example:
        >>> shown(["a"] * 1_000_000)
        "['a', 'a', 'a', 'a', 'a', 'a', ...]"
    """
    try:
        return printable(_SHORT.repr(value))
    except Exception:  # an integer of too many digits to print, an object without a repr
        return f"a {type(value).__name__} that cannot be shown"


def html(text: object) -> str:
    """Returns text for HTML and SVG, in and outside attributes; what these cannot hold is replaced.

    Example:
        >>> html("<script>")
        '&lt;script&gt;'
    """
    return _html.escape(re.sub("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", "\ufffd", str(text)))


def markdown(text: object) -> str:
    r"""Returns text for Markdown, in which it is shown as it is: no link, no HTML, no cell of a table ends.

    Example:
        >>> print(markdown("[cat](http://host.example) | <b>"))
        \[cat\](http://host.example) \| \<b\>
    """
    return _MARKDOWN.sub(r"\\\1", printable(text))


def csv_cell(text: object) -> str:
    """Returns text for a cell of a CSV file, which no spreadsheet takes for a formula.

    What begins like one gets an apostrophe in front, as OWASP advises.

    Example:
        >>> csv_cell("=HYPERLINK(1)")
        "'=HYPERLINK(1)"
    """
    cell = printable(text)
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell

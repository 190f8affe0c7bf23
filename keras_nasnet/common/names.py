"""Names that become the name of a folder: of recipes and plans, which come in files from anywhere."""

from keras_nasnet.common.escape import printable

_LONGEST = 100  # bytes: file systems know 255, and something is put in front
_SEPARATORS = "/\\:"


def check_name(name: str, what: str) -> str:
    """Return a name of which a folder can be called.

    Args:
        name: to be checked.
        what: it is the name of, for messages.

    Raises:
        ValueError: if it is empty or too long, has separators of paths, control characters or blanks at its ends, or
            begins with a dot.

    Example:
        >>> check_name("nasnet_a, long", "a recipe")
        'nasnet_a, long'
        >>> check_name("../../etc", "a recipe")
        Traceback (most recent call last):
            ...
        ValueError: name is '../../etc': the name of a recipe has no '/', since its folder is called after it
    """
    shown = f"name is {printable(name[:_LONGEST])!r}: the name of {what}"
    if not name.strip():
        raise ValueError(f"{shown} cannot be empty")
    for separator in _SEPARATORS:
        if separator in name:
            raise ValueError(f"{shown} has no {separator!r}, since its folder is called after it")
    if printable(name) != name:
        raise ValueError(f"{shown} has no control characters")
    if name.startswith(".") or name != name.strip():
        raise ValueError(f"{shown} begins with no dot, and neither begins nor ends with a blank")
    if len(name.encode()) > _LONGEST:
        raise ValueError(f"{shown} has at most {_LONGEST} bytes, not {len(name.encode())}")
    return name

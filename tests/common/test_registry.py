"""Registries: rows of the package, of this process, of installed packages, and "module:attribute"."""

import sys

import pytest

from keras_nasnet.common.registry import Registry


def registry(**options):
    return Registry("colour", {"half": "fractions:Fraction", "list": list}, **options)


def test_rows_are_imported_when_they_are_used():
    from fractions import Fraction

    assert registry().get("half") is Fraction
    assert registry().get("list") is list
    assert registry().names() == ["half", "list"]
    assert "half" in registry() and "red" not in registry() and 3 not in registry()


def test_own_rows_are_added_once():
    colours = registry()
    colours.register("red", dict)
    colours.register("red", dict)
    assert colours.get("red") is dict and colours.names()[-1] == "red"
    with pytest.raises(ValueError, match="colour 'half' is there already: choose another name"):
        colours.register("half", dict)


@pytest.mark.parametrize("name", ["red", "", None, 3, ":", "decimal:", ":Decimal", "../decimal:Decimal", ["half"]])
def test_what_is_not_there_is_refused_in_one_line(name):
    for importable in (False, True):
        colours = registry(importable=importable)
        for look in (colours.get, colours.check):
            with pytest.raises(ValueError, match=r"colour is .*: choose from half, list"):
                look(name)


def test_a_name_imports_only_where_that_is_allowed():
    from decimal import Decimal

    assert registry(importable=True).get("decimal:Decimal") is Decimal
    with pytest.raises(ValueError, match=r"choose from half, list$"):
        registry().get("decimal:Decimal")
    with pytest.raises(ValueError, match=r"colour is 'no_such_module:Thing': No module named"):
        registry(importable=True).get("no_such_module:Thing")


def test_a_check_imports_nothing():
    registry(importable=True).check("no_such_module:Thing")
    Registry("colour", {"red": "no_such_module:Red"}).check("red")
    with pytest.raises(ValueError, match="colour is 'decimal:Decimal'"):
        registry().check("decimal:Decimal")


def test_installed_packages_add_rows(tmp_path, monkeypatch):
    info = tmp_path / "plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[keras_nasnet.colour]\nblue = plugin_of_colours:Blue\n")
    (tmp_path / "plugin_of_colours.py").write_text("class Blue: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "blue" in registry() and registry().names() == ["half", "list", "blue"]
    assert registry().get("blue").__name__ == "Blue"
    sys.modules.pop("plugin_of_colours")

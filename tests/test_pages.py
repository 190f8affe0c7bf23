"""Pages for those who carry on: the modules that they name are there, and what they quote is what runs."""

import importlib
import re

import pytest

from tests.support import ROOT, SUPPORT

CONTRIBUTING = ROOT / "CONTRIBUTING.md"
pytestmark = pytest.mark.skipif(not CONTRIBUTING.exists(), reason="needs the pages of the checkout")


@pytest.mark.parametrize("page", ["docs/architecture.md", "CONTRIBUTING.md"])
def test_modules_that_pages_name_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    named = [name for name in re.findall(r"`([\w./]+(?:/|\.py))`", text) if "/" in name.rstrip("/")]
    assert len(named) > 10
    assert [name for name in named if not any((place / name).exists() for place in (ROOT, ROOT / "keras_nasnet"))] == []


def test_links_between_pages_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    found = [
        (page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
    ]
    assert len(found) > 20
    assert [f"{page.name}: {link}" for page, link in found if not (page.parent / link).exists()] == []


def test_what_moved_is_where_the_page_says():
    text = (ROOT / "docs" / "moved.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in text.partition("## Names that are gone")[0].splitlines()]
    now = [row[-1] for row in rows if len(row) > 1]
    imported = [re.findall(r"`from ([\w.]+) import ([\w, ]+)`", cell) for cell in now]
    offered = [(face, name) for found in imported for face, names in found for name in names.split(", ")]
    assert len(offered) > 40
    assert [pair for pair in offered if pair[1] not in importlib.import_module(pair[0]).__all__] == []
    modules = [module for cell in now for module in re.findall(r"^`keras_nasnet\.([a-z0-9_.]+)` \|$", cell)]
    assert len(modules) > 100
    places = [place / module.replace(".", "/") for module in modules for place in (ROOT / "keras_nasnet", ROOT)]
    there = [place.is_dir() or place.with_suffix(".py").is_file() for place in places]
    assert [module for number, module in enumerate(modules) if not any(there[2 * number : 2 * number + 2])] == []


def test_every_plug_in_is_quoted_as_it_runs():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    plugins = sorted(SUPPORT.glob("plugin_*.py"))
    assert len(plugins) >= 7
    for plugin in plugins:
        quoted = re.search(rf"`tests/support/{plugin.name}`:?\n\n```python\n(.*?)```", text, re.DOTALL)
        assert quoted, f"CONTRIBUTING.md does not quote {plugin.name}"
        assert quoted[1].strip() in plugin.read_text(encoding="utf-8"), f"CONTRIBUTING.md quotes another {plugin.name}"

"""Pages for those who carry on: the modules that they name are there, and what they quote is what runs."""

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


def test_every_plug_in_is_quoted_as_it_runs():
    text = CONTRIBUTING.read_text(encoding="utf-8")
    plugins = sorted(SUPPORT.glob("plugin_*.py"))
    assert len(plugins) >= 7
    for plugin in plugins:
        quoted = re.search(rf"`tests/support/{plugin.name}`:?\n\n```python\n(.*?)```", text, re.DOTALL)
        assert quoted, f"CONTRIBUTING.md does not quote {plugin.name}"
        assert quoted[1].strip() in plugin.read_text(encoding="utf-8"), f"CONTRIBUTING.md quotes another {plugin.name}"

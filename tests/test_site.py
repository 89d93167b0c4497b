"""The site's reference has all of the code, and its navigation all of the pages."""

from __future__ import annotations

import importlib
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from balto.campaign.records import Kind
from balto.cli import COMMANDS
from balto.journal import parts
from balto.models import MODELS, file
from balto.search import records
from balto.select import SELECTORS
from tests.faces import PACKAGES

ROOT = Path(__file__).resolve().parents[1]


#: The modules whose names are public.
MODULES = tuple(package.__name__ for package in PACKAGES)
#: Values, which have no docstring: the page names them itself.
VALUES = {"FEATURE_SETS", "SELECTORS", "MODELS", "__version__"}


def test_every_page_is_in_the_navigation_or_in_the_table_of_the_decisions():
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    table = (ROOT / "docs" / "decisions" / "index.md").read_text()
    named |= {f"decisions/{name}" for name in re.findall(r"\]\(([\w-]+\.md)\)", table)}
    there = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert named == there


def test_the_reference_has_every_public_module_and_names_the_values():
    page = (ROOT / "docs" / "reference" / "api.md").read_text()
    assert re.findall(r"^::: (.*)$", page, re.M) == list(MODULES)
    for value in VALUES:
        assert re.search(rf"`balto\.(\w+\.)?{value}`", page)


@pytest.mark.parametrize(
    ("names", "page"),
    [(SELECTORS, "algorithm.md"), (MODELS, "models.md")],
    ids=["select", "models"],
)
def test_every_selector_and_model_has_a_row_in_its_table(names, page):
    rows = re.findall(r"^\| (`.*?) \|", (ROOT / "docs" / page).read_text(), re.M)
    assert set(names) <= {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}


def test_the_figure_of_the_readme_is_drawn_from_the_table_of_the_evidence(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("figure", ROOT / "docs" / "_figure.py")
    figure = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(figure)
    monkeypatch.setattr(figure, "FIGURE", tmp_path / "top1.svg")
    figure.main()
    assert figure.FIGURE.read_text() == (ROOT / "docs" / "figures" / "top1.svg").read_text()


def test_the_page_of_files_has_every_kind_of_record_and_every_entry_of_a_model():
    page = (ROOT / "docs" / "files.md").read_text()
    rooms = ("campaign", "search", "tune", "metaschedule")
    sources = [p.read_text() for f in rooms for p in (ROOT / "balto" / f).glob("*.py")]
    kinds = {kind for text in sources for kind in re.findall(r'"kind": "(\w+)"', text)}
    kinds |= {parts.KIND, *Kind, records.TRIAL, records.AGAIN, records.BATCH, records.FOUND}
    said = set(re.findall(r"`(\w+)`", page))
    assert len(kinds) > 12
    assert kinds | set(file._KINDS) | {"format"} <= said


@pytest.mark.slow
def test_the_site_builds_strictly_with_every_command_and_public_name(tmp_path):
    pytest.importorskip("mkdocs", reason="make site installs it, from requirements-docs.txt")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = {p: (tmp_path / "site" / "reference" / f"{p}.html").read_text() for p in ("cli", "api")}
    for name in COMMANDS:
        assert f'id="balto-{name}"' in made["cli"]
    for option in ("--selector", "--test-share", "--start-from", "--budget"):
        assert option in made["cli"]
    for module in MODULES:
        names = set(importlib.import_module(module).__all__) - VALUES
        assert not {name for name in names if f'id="{module}.{name}"' not in made["api"]}
    assert "Chooses which programs of a task to measure next." in made["api"]

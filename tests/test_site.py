"""The site's reference has all of the code, and its navigation all of the pages."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

import balto
from balto.cli import COMMANDS
from balto.journal import parts
from balto.models import file
from balto.search import records

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def reference():
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_command_is_there_with_its_options(reference):
    text = reference.commands()
    assert re.findall(r"^## balto (\w+)$", text, re.M) == list(COMMANDS)
    for option in ("--selector", "--test-share", "--from", "--budget"):
        assert option in text


def test_every_public_name_is_there_with_its_docstring(reference):
    text = reference.names()
    for module, prefix in (
        (balto, "balto"),
        *((getattr(balto, m), f"balto.{m}") for m in ("select", "models", "tune", "testing")),
    ):
        modules = {"select", "models", "tune", "testing"} if module is balto else set()
        for name in set(module.__all__) - modules:
            assert f"### `{prefix}.{name}`" in text
    assert "Chooses which programs of a task to measure next." in text
    assert "def __init__" not in text


def test_every_page_is_in_the_navigation():
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M))
    there = {str(p.relative_to(ROOT / "docs")) for p in (ROOT / "docs").rglob("*.md")}
    assert named == there | {"reference/cli.md", "reference/api.md"}


def test_the_page_of_files_has_every_kind_of_record_and_every_entry_of_a_model():
    page = (ROOT / "docs" / "files.md").read_text()
    sources = [p.read_text() for f in ("campaign", "tune") for p in (ROOT / "balto" / f).glob("*")
               if p.suffix == ".py"]  # fmt: skip
    kinds = {kind for text in sources for kind in re.findall(r'"kind": "(\w+)"', text)}
    kinds |= {parts.KIND, records.TRIAL, records.AGAIN, records.BATCH, records.FOUND}
    said = set(re.findall(r"`(\w+)`", page))
    assert len(kinds) > 12
    assert kinds | set(file._KINDS) | {"format"} <= said


@pytest.mark.slow
def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocs", reason="make site installs it, from requirements-docs.txt")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "pretrain" in (tmp_path / "site" / "reference" / "cli.html").read_text()

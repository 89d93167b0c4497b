"""The Python that people read first runs as it is written, and the links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "pools" / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page):
    """The Python blocks of a page, in order."""
    return re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)


def run(page, code, names=None):
    names = {"__name__": "page"} if names is None else names
    exec(compile(code, page, "exec", dont_inherit=True), names)
    return names


@pytest.fixture(autouse=True)
def checkout(tmp_path, monkeypatch):
    """A folder with the pools in it, as the examples want it."""
    (tmp_path / "pools").symlink_to(ROOT / "pools")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_the_replays_of_the_readme(capsys):
    first, own, *_ = blocks("README.md")
    names = run("README.md", first)
    said = re.search(r"print\(result\)  # (.*) \.\.\.", first)[1]
    assert capsys.readouterr().out.startswith(said)  # the comment shows what it prints
    assert len(names["scores"]) == len(names["pool"])
    run("README.md", own, names)
    assert names["result"].rounds[-1].measurements == 206
    assert set(names["result"].rounds[-1].rules) == {"mine"}


@pytest.mark.slow
def test_the_live_campaign_of_the_readme_and_what_its_model_is_good_for(capsys):
    live, use = blocks("README.md")[2:]
    names = run("README.md", live)
    assert Path("work/report.html").is_file()
    assert names["result"].measurements == names["recorded"].outcomes.measured.sum() - 12
    run("README.md", use)
    assert f"{names['result'].measurements} labels" in capsys.readouterr().out


def test_the_readme_has_no_other_examples():
    assert len(blocks("README.md")) == 4


def test_the_example_of_the_models_page():
    (code,) = blocks("docs/models.md")
    names = run("docs/models.md", code)
    assert names["trained_on"] == {"note": "JSON, kept with the model"}
    assert 0 <= names["shares"].min() <= names["shares"].max() <= 1


def test_the_selector_and_the_model_of_the_extending_page(capsys):
    selector, model, _ = blocks("docs/extending.md")
    names = run("docs/extending.md", selector)
    run("docs/extending.md", model, names)
    out = capsys.readouterr().out.splitlines()
    assert out[0].startswith("fastest with xgb: 5 rounds")
    assert out[1].startswith("fastest with ridge: 5 rounds")


@pytest.mark.slow
def test_the_selector_of_the_extending_page_passes_the_suite(tmp_path):
    selector, _, suite = blocks("docs/extending.md")
    (tmp_path / "test_mine.py").write_text(f"{selector}\n{suite}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page):
    text = page.read_text()
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link
    if "notes" not in page.parts:
        for path in re.findall(r"`((?:balto|benchmarks|experiments|tests|pools)/[\w/.-]+)`", text):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_scripts_are_called_as_it_works_in_a_checkout_and_take_their_options(page):
    text = page.read_text()
    shared = (ROOT / "experiments" / "_study.py").read_text()
    commands = re.findall(r"(\S*)python\s+(experiments/\w+\.py)([^`#\n]*)", text)
    for before, script, arguments in commands:
        assert before.lstrip("`(") == ".venv/bin/", f"{before}python {script}"
        known = (ROOT / script).read_text() + shared
        for option in re.findall(r"--[a-z-]+", arguments):
            assert f'"{option}"' in known, f"{script} {option}"


def test_every_command_of_the_readme_takes_its_options():
    from click.testing import CliRunner

    from balto.cli import cli

    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^\$ balto (\w+)(.*?)(?:#.*)?$", text, re.M)
    assert len(commands) >= 8
    for command, arguments in commands:
        described = CliRunner().invoke(cli, [command, "--help"]).output
        for option in re.findall(r"--[a-z-]+", arguments):
            assert option in described, f"{command} {option}"

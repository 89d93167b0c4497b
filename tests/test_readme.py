"""The Python that people read first runs as it is written, and the links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from balto.cli import COMMANDS, cli

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [
    *sorted(ROOT.glob("*.md")),
    ROOT / "pools" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]


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


def test_the_readme_fits_on_one_page():
    assert len(README.splitlines()) <= 120


@pytest.mark.slow
def test_what_is_tried_in_a_minute_prints_what_the_readme_shows():
    block = re.search(r"^```console\n(\$ balto replay .*?)^```$", README, re.M | re.S)[1]
    for command, shown in re.findall(r"^\$ (balto .*)\n((?:[^$].*\n|\n)*)", block, re.M):
        done = subprocess.run(
            [sys.executable, "-m", *shlex.split(command)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert words(done.stdout) == words(shown)


def words(table):
    """Lines that say something, without the spaces and rules between."""
    lines = [re.sub(r"[\s─]+", " ", line).strip() for line in table.splitlines()]
    return [line for line in lines if line]


@pytest.mark.slow
def test_the_replays_of_the_page_on_pre_training(capsys):
    _, replay, own, _ = blocks("docs/pretrain.md")
    names = run("docs/pretrain.md", replay)
    said = re.search(r"print\(result\)  # (.*) \.\.\.", replay)[1]
    assert capsys.readouterr().out.startswith(said)  # the comment shows what it prints
    assert len(names["scores"]) == len(names["pool"])
    run("docs/pretrain.md", own, names)
    assert names["result"].rounds[-1].measurements == 206
    assert set(names["result"].rounds[-1].rules) == {"mine"}


@pytest.mark.slow
def test_the_live_campaign_of_that_page_and_what_its_model_is_good_for(capsys):
    live, _, _, use = blocks("docs/pretrain.md")
    names = run("docs/pretrain.md", live)
    assert Path("work/report.html").is_file()
    assert names["result"].measurements == names["recorded"].outcomes.measured.sum() - 12
    run("docs/pretrain.md", use)
    assert f"{names['result'].measurements} labels" in capsys.readouterr().out


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


@pytest.mark.slow
def test_the_selector_of_the_contributing_page_passes_the_suite_and_its_own_test(tmp_path):
    selector, own = blocks("docs/contributing.md")
    head = "import pytest\nimport balto.testing\nfrom balto.testing.selectors import made_up_task\n"
    suite = """
class TestGreedy(balto.testing.SelectorContract):
    def make(self):
        return Greedy()

SEEDS = range(9)

def case(seed):
    return made_up_task(seed, labelled=7)

def picks(name, state):
    return Greedy().select(state, 8, np.random.default_rng(0)).tolist()
"""
    (tmp_path / "test_greedy.py").write_text(f"{selector}\n{head}\n{suite}\n{own}")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_greedy.py"]
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


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_take_the_options_that_pages_give_them(page):
    text = re.sub(r"\\\n", " ", page.read_text())
    commands = re.findall(
        r"(?:^\$ |^ {4}\$? ?|^|`)balto ((?:import|store) \w+|\w+)([^`#\n]*)", text, re.M
    )
    for command, arguments in commands:
        if command.split()[0] in COMMANDS:
            described = CliRunner().invoke(cli, [*command.split(), "--help"]).output
            for option in re.findall(r"(?<!\S)--[a-z-]+", arguments):
                assert option in described, f"{command} {option}"

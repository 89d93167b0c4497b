"""What comes from outside (a device's name, a path, a model card) is printed as it is."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest
from click.testing import CliRunner

from balto.cli import cli
from balto.cli.output import left_out_line, print_table
from balto.cli.progress import Progress
from balto.journal.file import Journal
from balto.models import create, save
from balto.testing import made_up_pool
from balto.text import printable

STRANGE = "[/x] [bold]pi[/bold] :smile: [link=file:///etc]"


def run(*args):
    result = CliRunner().invoke(cli, [str(a) for a in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def on_a_terminal(code):
    """What a program writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "120"}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        written = b""
        try:
            while chunk := os.read(ours, 65536):
                written += chunk
        except OSError:  # the other side is gone
            pass
    os.close(ours)
    assert process.returncode == 0, written.decode()
    return written.decode()


def test_brackets_in_a_table_are_text(capsys):
    print_table([f"column {STRANGE}"], [(f"cell {STRANGE}",)], title=f"title {STRANGE}")
    out = capsys.readouterr().out
    for place in ("column", "cell", "title"):
        assert f"{place} {STRANGE}" in out


def test_what_would_steer_the_terminal_is_shown_and_not_sent(capsys):
    print_table([""], [("red \x1b[31m\x07",)])
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "red \\x1b[31m\\x07" in out
    assert printable("two\nlines, ä, 語") == "two\nlines, ä, 語"


def test_brackets_in_the_progress_of_a_terminal_are_text():
    code = (
        "from balto.cli.progress import Progress\n"
        f"s = {STRANGE!r}\n"
        "with Progress() as p:\n"
        "    p.begin('what ' + s, 2, 'program')\n"
        "    p.advance('what ' + s, 'note ' + s)\n"
        "    p.say('line ' + s)\n"
        "    p.advance('what ' + s, 'note ' + s)\n"
    )
    written = on_a_terminal(code)
    assert f"line {STRANGE}" in written
    assert "what [/x]" in written


def test_a_line_of_progress_in_a_pipe_is_text(capsys):
    with Progress() as progress:
        progress.say(f"line {STRANGE} \x1b[31m")
    assert capsys.readouterr().err == f"line {STRANGE} \\x1b[31m\n"


def test_a_model_card_with_brackets(tmp_path):
    pool = made_up_pool(failures=False)
    model = create("xgb")
    model.fit(pool.features, 1e-9 / pool.latency_s, pool.task_of_program)
    path = tmp_path / "m [draft].balto"
    save(model, path, {"devices": [STRANGE], "note": STRANGE})
    shown = run("model", path)
    assert shown.count(STRANGE) == 2
    assert "m [draft].balto" in shown


@pytest.fixture
def campaign(tmp_path, pool_path):
    """One that left out two tasks, whose reason has brackets."""
    work_dir = tmp_path / "w [1]"
    options = "--budget 20% --rounds 2 --test-share 25%"
    run("pretrain", work_dir, "--pool", pool_path, *options.split())
    with Journal.open(work_dir / "journal.jsonl") as journal:
        for task in ("conv_a", "conv_b"):
            record = {"kind": "left_out", "task": task, "reason": "TVM crashed [/x]"}
            journal.append(record)
    return work_dir


def test_status_names_the_tasks_that_were_left_out(campaign):
    shown = run("status", campaign)
    assert "w [1]: finished" in shown
    assert "2 tasks left out by failure: 2 x TVM crashed [/x]" in shown
    assert "conv_a: TVM crashed [/x]" in shown
    assert "\x1b" not in shown
    state = json.loads(run("status", campaign, "-f", "json"))
    assert state["left_out"] == [
        {"name": "conv_a", "reason": "TVM crashed [/x]"},
        {"name": "conv_b", "reason": "TVM crashed [/x]"},
    ]
    assert state["all_labels"]["measurements"] == 135
    assert f"Top-1 {state['all_labels']['accuracy']['top1']:.1%}" in shown


def test_status_names_only_the_first_of_very_many_tasks(campaign):
    with Journal.open(campaign / "journal.jsonl") as journal:
        for k in range(2000):
            journal.append({"kind": "left_out", "task": f"many {k}", "reason": f"{k} is odd"})
    shown = run("status", campaign)
    assert len(shown.splitlines()) < 60
    assert "and 1982 more" in shown
    assert len(json.loads(run("status", campaign, "-f", "json"))["left_out"]) == 2002


def test_pretrain_ends_with_the_tasks_that_were_left_out(campaign, pool_path):
    options = "--budget 20% --rounds 2 --test-share 25%"
    arguments = ["pretrain", campaign, "--pool", pool_path, *options.split()]
    done = CliRunner().invoke(cli, [str(a) for a in arguments], catch_exceptions=False)
    assert "2 tasks left out by failure: 2 x TVM crashed [/x]" in done.stderr


def test_the_line_is_red_on_a_terminal_only(campaign):
    code = f"from balto.cli import cli; cli(['status', {str(campaign)!r}])"
    assert "\x1b[31m\x1b[1m2 tasks left out by failure" in on_a_terminal(code)


def test_reasons_are_counted():
    line = left_out_line({"a": "crashed", "b": "too small", "c": "crashed"})
    assert "3 tasks left out by failure: 2 x crashed; 1 x too small" in line
    assert "1 task left out by failure: 1 x crashed" in left_out_line({"a": "crashed"})
    many = left_out_line({"a": "0", **{str(k): str(k % 20) for k in range(100)}})
    assert "101 tasks left out by failure: 6 x 0; 5 x 1; 5 x 2; 5 x 3; 5 x 4;" in many
    assert many.count(" x ") == 6
    assert "75 x 15 other reasons" in many

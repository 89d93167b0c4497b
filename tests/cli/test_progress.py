"""Long work tells how far it is: bars on a terminal, plain lines elsewhere; never on stdout."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest

from balto.cli import progress
from balto.cli.live import CampaignNarrator
from balto.cli.narrator import TuningNarrator
from balto.data.outcome import Outcome, Status
from balto.data.plausible import LEFT_OUT
from balto.data.target import Target

COMMAND = [sys.executable, "-m", "balto", "replay"]
OPTIONS = ["--budget", "10%", "--rounds", "2", "--seeds", "2"]


def test_plain_lines_say_how_many_how_fast_and_how_long(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    bars = progress.Progress()
    bars.begin("measure", 4, "program")
    for _ in range(4):
        bars.advance("measure", "failed: 1 crash")
    bars.close()
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == 4
    assert lines[0].startswith("measure: 1 of 4 programs, ")
    assert "ETA" in lines[0]
    assert lines[0].endswith("failed: 1 crash")
    assert "ETA" not in lines[3]


@pytest.mark.parametrize(
    ("done", "eta"), [(990, "ETA 1 s"), (10, "ETA 33 min 00 s"), (2, "ETA 2 h 46 min")]
)
def test_long_work_is_said_in_minutes_and_hours(done, eta, monkeypatch):
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: 20.0))
    work = progress._Work("program", 1000, done, started=0.0)
    assert eta in progress.Progress._line("measure", work, "")


def test_steps_before_the_total_is_known_are_counted(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    bars = progress.Progress()
    bars.advance("measure")
    bars.begin("measure", 2, "program")
    bars.advance("measure")
    assert capsys.readouterr().err.splitlines()[-1].startswith("measure: 2 of 3 programs")


def test_a_campaign_says_which_device_is_left_out(capsys):
    failed = Outcome(Status.RUN_ERROR, message="the device a:1 gave a latency of nan s")
    left_out = replace(failed, message=f"{failed.message}: the device {LEFT_OUT}")
    with CampaignNarrator() as told:
        told.planned(2)
        for outcome in (failed, left_out):
            told.measured(outcome)
    assert left_out.message in capsys.readouterr().err.splitlines()


def test_a_tuning_says_where_trials_are_too_few_and_layouts_only_of_convolutions(capsys):
    with TuningNarrator(2) as told:
        told.planned(2, Target("llvm", cores=1), "NHWC")
        told.planned(3, Target("llvm", cores=1), "")
    first, second, third = capsys.readouterr().err.splitlines()
    assert first == "2 tasks, tuned for one core, convolutions in NHWC"
    assert second == "3 tasks, tuned for one core"
    assert third.startswith("fewer trials (2) than tasks")


@pytest.mark.slow
def test_a_pipe_gets_only_the_result_on_stdout(pool_path):
    done = subprocess.run(
        [*COMMAND, str(pool_path), *OPTIONS], capture_output=True, text=True, check=True
    )
    assert "Top-1" in done.stdout
    assert "replay: 4 of 4 rounds" in done.stderr
    assert "\x1b[" not in done.stdout + done.stderr


def test_a_terminal_gets_a_bar(pool_path):
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"}
    process = subprocess.Popen(
        [*COMMAND, str(pool_path), *OPTIONS],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        env=environment,
    )
    os.close(theirs)
    drawn = b""
    while chunk := read(ours):
        drawn += chunk
    os.close(ours)
    assert process.wait() == 0
    assert "━".encode() in drawn
    assert b"4/4" in drawn


def read(descriptor):
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side is gone
        return b""


@pytest.mark.parametrize("narrator", [CampaignNarrator, lambda: TuningNarrator(8)])
def test_what_is_waited_for_is_said(narrator, capsys):
    with narrator() as told:
        told.drawing("gates_1x72", 40.2)
    assert "drawing programs of gates_1x72, 40.2 s so far" in capsys.readouterr().err

"""A long journal is folded into Parquet; nothing is lost, also if it is killed while folding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from balto.campaign.facts import Facts
from balto.data.outcome import Outcome, Status
from balto.errors import CampaignError
from balto.journal import parts
from balto.journal.file import Journal, encode, read
from balto.journal.records import outcome_to_record


def records(count, start=0):
    for i in range(start, start + count):
        outcome = Outcome(Status.OK, 1e-3 / (i + 1), 1.1e-3, 0.2, 0.3, 4, 0.01)
        if i % 9 == 4:
            outcome = Outcome(Status.CRASH, build_s=0.1, message="it was killed by SIGSEGV")
        yield {
            "kind": "measurement",
            "task": f"t{i % 3}",
            "program": i,
            **outcome_to_record(outcome),
        }
        if i % 7 == 0:
            yield {"kind": "selection", "selector": "balto", "round": i, "picks": {"t0": [1, i]}}


def write(path, what):
    with Journal.open(path) as journal:
        for record in what:
            journal.append(record)


def test_folding_keeps_every_record_and_its_order(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    everything = []
    for part in range(4):
        new = list(records(50, 50 * part))
        write(path, new)
        everything += new
        assert list(read(path)) == everything
        monkeypatch.setattr(parts, "LIMIT", 5000)  # from the next opening on
    assert path.stat().st_size < 7000
    first = json.loads(path.read_bytes().splitlines()[0][18:])
    there = {file.name for file in tmp_path.glob("journal.*.parquet")}
    assert {part["file"] for part in first["parts"]} == there
    assert len(there) > 3


def test_a_missing_or_damaged_parquet_file_is_named(tmp_path, monkeypatch):
    path = tmp_path / "journal.jsonl"
    write(path, records(50))
    monkeypatch.setattr(parts, "LIMIT", 1000)
    Journal.open(path).close()
    (file,) = tmp_path.glob("journal.*.parquet")
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(CampaignError, match=file.name):
        list(read(path))


@pytest.mark.parametrize("parts", [None, 7, [7], [{}], [{"file": "x", "records": "y"}]])
def test_a_first_line_that_says_what_cannot_be_is_refused(tmp_path, parts):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode({"kind": "compacted", "parts": parts}))
    for use in (lambda: list(read(path)), lambda: Facts.read(path)):
        with pytest.raises(CampaignError, match="the journal's first line is damaged"):
            use()


FOLDER = """
import sys
from balto.journal import parts
from balto.journal.file import Journal
parts.LIMIT = 0
print("ready", flush=True)
while True:
    Journal.open(sys.argv[1]).close()
"""


@pytest.mark.slow
def test_kill_9_while_folding_loses_nothing(tmp_path):
    path = tmp_path / "journal.jsonl"
    everything = list(records(300))
    write(path, everything)
    rng = np.random.default_rng(0)
    for _ in range(8):
        process = subprocess.Popen(
            [sys.executable, "-c", FOLDER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "ready\n"
        time.sleep(rng.uniform(0, 0.3))
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        assert list(read(path)) == everything

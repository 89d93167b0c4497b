"""The journal keeps every record that it took, whatever happens to the process or the disk."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balto.campaign.facts import Facts
from balto.data.outcome import Outcome, Status
from balto.errors import CampaignError, CampaignLocked, StorageError
from balto.journal.file import Journal, encode, read
from balto.journal.records import outcome_from_record, outcome_to_record

ROOT = Path(__file__).parents[2]
KILLS = 120


def write(path: Path, records: list[dict[str, object]]) -> None:
    with Journal.open(path) as journal:
        for record in records:
            journal.append(record)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), max_size=8),
    st.data(),
)
def test_whatever_is_cut_off_the_end_only_unfinished_records_are_lost(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, object]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    write(path, records)
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    kept = whole[:cut].count(b"\n")
    assert list(read(path)) == records[:kept]
    write(path, [{"after": 1}])
    assert list(read(path)) == [*records[:kept], {"after": 1}]


@pytest.mark.slow
def test_kill_9_at_random_moments_loses_no_record_that_was_taken(tmp_path: Path) -> None:
    """A fresh process is forked for every kill, by one that has nothing but the journal loaded."""
    path = tmp_path / "journal"
    random.seed(1)
    done = subprocess.run(
        [sys.executable, "-m", "tests.journal.killed_writer", str(path), str(KILLS)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert not done.stderr
    sure = json.loads(done.stdout)
    assert len(sure) == KILLS
    assert len(list(read(path))) >= sure[-1] > KILLS


def test_a_damaged_record_in_the_middle_is_named(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    write(path, [{"number": i} for i in range(5)])
    lines = path.read_bytes().splitlines(keepends=True)
    lines[2] = lines[2].replace(b"2", b"7", 1)
    path.write_bytes(b"".join(lines))
    for use in (lambda: list(read(path)), lambda: Journal.open(path)):
        with pytest.raises(CampaignError, match="line 3 is damaged"):
            use()


@pytest.mark.parametrize("way", ["removed", "doubled", "moved", "of another journal", "of before"])
def test_a_line_that_does_not_follow_the_one_before_is_named(tmp_path: Path, way: str) -> None:
    path, other = tmp_path / "journal", tmp_path / "other"
    records = [{"number": i} for i in range(6)]
    write(path, records)
    write(other, records)
    lines, others = (p.read_bytes().splitlines(keepends=True) for p in (path, other))
    text = b'{"number":3}'
    changed = {
        "removed": [*lines[:3], *lines[4:]],
        "doubled": [*lines[:3], *lines[2:]],
        "moved": [*lines[:3], lines[4], lines[3], lines[5]],
        "of another journal": [*lines[:3], others[3], *lines[4:]],
        "of before": [*lines[:3], b"%08x %s\n" % (zlib.crc32(text), text), *lines[3:]],
    }
    path.write_bytes(b"".join(changed[way]))
    for use in (lambda: list(read(path)), lambda: Journal.open(path)):
        with pytest.raises(CampaignError, match="line 4 does not follow the line before"):
            use()


def test_a_journal_of_before_is_read_and_its_new_lines_are_chained(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    texts = [b'{"number":%d}' % i for i in range(3)]
    path.write_bytes(b"".join(b"%08x %s\n" % (zlib.crc32(text), text) for text in texts))
    write(path, [{"number": 3}, {"number": 4}])
    assert list(read(path)) == [{"number": i} for i in range(5)]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[4]]))
    with pytest.raises(CampaignError, match="line 4 does not follow"):
        list(read(path))


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    with Journal.open(path), pytest.raises(CampaignLocked, match=f"process {os.getpid()}"):
        Journal.open(path)
    Journal.open(path).close()


def test_a_reader_may_look_at_any_time(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    stop = threading.Event()

    def write_on() -> None:
        with Journal.open(path) as journal:
            number = 0
            while not stop.is_set():
                journal.append({"number": number, "text": "x" * (number % 500)})
                number += 1

    Journal.open(path).close()
    writer = threading.Thread(target=write_on)
    writer.start()
    try:
        for _ in range(50):
            seen = [record["number"] for record in read(path)]
            assert seen == list(range(len(seen)))
    finally:
        stop.set()
        writer.join()


def test_records_reach_the_disk_without_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced = threading.Event()
    real = os.fdatasync
    with Journal.open(tmp_path / "journal") as journal:
        monkeypatch.setattr(os, "fdatasync", lambda fd: (real(fd), synced.set()))
        journal.append({"number": 1})
        assert synced.wait(60)  # or never: how soon depends on the machine


def test_a_full_disk_is_one_clear_line_and_loses_nothing(tmp_path: Path) -> None:
    """A real limit on the file's size stands for the disk's: the kernel refuses the write."""
    path = tmp_path / "journal"
    code = (
        "import resource, signal, sys; from balto.journal.file import Journal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "journal = Journal.open(sys.argv[1]); n = 0\n"
        "try:\n"
        "    while True:\n"
        "        journal.append({'number': n, 'text': 'x' * 700}); n += 1\n"
        "except Exception as error:\n"
        "    print(type(error).__name__, n, str(error))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, cwd=ROOT
    )
    name, count, message = done.stdout.split(maxsplit=2)
    assert name == StorageError.__name__
    assert "make room" in message
    assert message.count("\n") == 1
    assert [record["number"] for record in read(path)] == list(range(int(count)))
    write(path, [{"number": int(count)}])
    assert len(list(read(path))) == int(count) + 1


def test_a_folder_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(CampaignError, match="cannot open the journal"):
        Journal.open(tmp_path / "none" / "journal")
    with pytest.raises(CampaignError, match=r"cannot read .*none"):
        list(read(tmp_path / "none"))


numbers = st.floats(min_value=0, allow_infinity=False) | st.just(math.nan)


@given(
    st.builds(
        Outcome,
        status=st.sampled_from(Status),
        latency_s=numbers,
        build_s=numbers,
        repeats=st.integers(0, 99),
        message=st.text(),
    )
)
def test_outcomes_survive_the_journal(outcome: Outcome) -> None:
    line = encode({"kind": "measurement", "task": 3, **outcome_to_record(outcome)})
    assert repr(outcome_from_record(json.loads(line[18:]))) == repr(outcome)


def test_a_record_of_a_newer_balto_is_not_to_be_restored_from_a_copy(tmp_path):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(encode({"kind": "of a newer balto"}))
    with pytest.raises(CampaignError, match=r"line 1: .*use the balto that wrote it") as caught:
        Facts.read(path)
    assert "copy" not in str(caught.value)

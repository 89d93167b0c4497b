"""A search that is over is known from its journal, and never made again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from balto.data.files import write_json
from balto.data.outcome import Outcome, Status
from balto.data.target import LLVM
from balto.data.task import Task
from balto.data.versions import DEPLOYED, versions_of
from balto.deploy.database import DATABASE
from balto.deploy.load import FORMAT, METADATA
from balto.errors import CampaignError
from balto.journal.file import Journal, encode_all
from balto.journal.records import outcome_to_record
from balto.search.listener import SessionListener
from balto.search.records import JOURNAL, read_records
from balto.search.tuning import TunedTask
from balto.tune import found as earlier
from balto.tune.folder import MODEL

TASK = Task("matmul", "matmul", "[]", 1, LLVM, "here")
FAILED = Outcome(Status.BUILD_ERROR)


def ran(seconds: float) -> Outcome:
    return Outcome(Status.OK, latency_s=seconds, latency_median_s=seconds)


def write(folder: Path, *records: Mapping[str, Any]) -> Path:
    (folder / JOURNAL).write_bytes(encode_all([{"kind": "config"}, *records]))
    return folder / JOURNAL


def of_task(kind: str, trace: str, outcome: Outcome) -> dict[str, Any]:
    return {"kind": kind, "task": TASK.name, "trace": trace, **outcome_to_record(outcome)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three trials, the fastest two measured again, one of them faster, the other slower."""
    write(
        tmp_path,
        of_task("trial", "", FAILED),
        of_task("trial", "a", ran(3.0)),
        of_task("trial", "b", FAILED),
        of_task("trial", "c", ran(2.0)),
        of_task("again", "a", ran(1.5)),
        of_task("again", "c", ran(2.5)),
    )
    (tmp_path / MODEL).touch()
    return tmp_path


FOUND = TunedTask(
    task=TASK,
    trace="a",
    latency_s=1.5,
    untuned_s=math.nan,
    programs=[("a", ran(1.5)), ("b", FAILED), ("c", ran(2.0))],
    best_s=[3.0, 3.0, 2.0],
    asking_s=0.5,
    seconds=4.0,
    wrong=1,
    lost=0,
)


class Told(SessionListener):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.best_s: list[float] = []

    def measured(self, task: str, outcome: Outcome, best_s: float) -> None:  # noqa: ARG002
        self.best_s.append(best_s)


def test_what_was_found_is_known_again(folder: Path) -> None:
    told = Told()
    assert earlier.known(folder, read_records(folder / JOURNAL), [TASK], told) is None
    with Journal.open(folder / JOURNAL) as journal:
        earlier.keep(journal, [FOUND], [("softmax", "other tasks promised more")])
    known = earlier.known(folder, read_records(folder / JOURNAL), [TASK], told)
    assert known is not None
    [tuned], untried = known
    assert math.isnan(tuned.untuned_s)
    assert repr(tuned) == repr(FOUND)
    for name in ("best_s", "programs"):
        assert repr(getattr(tuned, name)) == repr(getattr(FOUND, name))
    assert untried == [("softmax", "other tasks promised more")]
    assert told.best_s == FOUND.best_s  # as by a search that goes on
    (folder / MODEL).unlink()  # what it learnt must be made again
    assert earlier.known(folder, read_records(folder / JOURNAL), [TASK], told) is None


def test_a_favourite_that_nobody_measured_is_known_again_and_told_to_nobody(folder: Path) -> None:
    told = Told()
    favourite = replace(
        FOUND,
        trace="f",
        latency_s=math.nan,
        programs=(),
        best_s=(),
        task=replace(TASK, name="conv2d"),
    )
    with Journal.open(folder / JOURNAL) as journal:
        earlier.keep(journal, [FOUND, favourite])
    tasks = [TASK, favourite.task]
    known = earlier.known(folder, read_records(folder / JOURNAL), tasks, told)
    assert known is not None
    assert [(each.trace, each.unmeasured) for each in known[0]] == [("a", False), ("f", True)]
    assert told.best_s == FOUND.best_s


def test_what_a_balto_found_that_had_no_favourites_is_known_as_well(folder: Path) -> None:
    with Journal.open(folder / JOURNAL) as journal:
        earlier.keep(journal, [FOUND])
    *before, found = read_records(folder / JOURNAL)
    del found["tasks"][0]["measured"]
    write(folder, *before[1:], found)
    known = earlier.known(folder, read_records(folder / JOURNAL), [TASK], Told())
    assert known is not None
    assert not known[0][0].unmeasured


def test_only_a_whole_folder_of_these_versions_is_deployed(folder: Path) -> None:
    assert earlier.deployed(folder) is None
    metadata = {"format": FORMAT, "operators": {}, "versions": versions_of(*DEPLOYED)}
    write_json(folder / METADATA, metadata)
    assert earlier.deployed(folder) is None  # no database
    (folder / DATABASE).mkdir()
    found = earlier.deployed(folder)
    assert found is not None
    assert found["versions"] == versions_of(*DEPLOYED)
    write_json(folder / METADATA, {**metadata, "versions": {"balto": "0"}})
    assert earlier.deployed(folder) is None


def test_another_networks_task_costs_one_line(folder: Path) -> None:
    with Journal.open(folder / JOURNAL) as journal:
        earlier.keep(journal, [FOUND])
    with pytest.raises(CampaignError, match="has found matmul, which is not tuned here"):
        earlier.known(folder, read_records(folder / JOURNAL), [], Told())


def test_a_program_that_was_only_measured_again_costs_one_line(folder: Path) -> None:
    with Journal.open(folder / JOURNAL) as journal:
        journal.append(of_task("again", "d", ran(1.0)))
    with pytest.raises(
        CampaignError, match="expected a program of matmul that was measured before"
    ):
        read_records(folder / JOURNAL)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"task": "softmax"}, "expected a program of softmax that was measured before"),
        ({"trace": "d"}, "expected a program of matmul that was measured before"),
        ({"latency_s": -1.0}, "latency_s"),
        ({"seconds": "long"}, "seconds"),
        ({"wrong": 0.5}, "wrong"),
        ({"trace": None}, "trace"),
    ],
)
def test_what_cannot_have_been_found_costs_one_line(
    folder: Path, changed: dict[str, Any], words: str
) -> None:
    with Journal.open(folder / JOURNAL) as journal:
        earlier.keep(journal, [FOUND])
    *before, found = read_records(folder / JOURNAL)
    write(folder, *before[1:], {**found, "tasks": [{**found["tasks"][0], **changed}]})
    with pytest.raises(CampaignError, match=words) as caught:
        read_records(folder / JOURNAL)
    assert "\n" not in str(caught.value)

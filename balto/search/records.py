"""What the journal of a tuning says, a record a line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from balto.arguments import check_number
from balto.errors import InputError
from balto.journal.file import numbered
from balto.journal.records import at, possible_outcome, text_of
from balto.store.known import Known

#: In the folder of a tuning.
JOURNAL = "journal.jsonl"
#: Kinds of records: the settings, first; a program when it was measured, the untuned one too; one
#: of the fastest when it was measured again; what a batch of them took; what the search found, when
#: it is over (`balto.tune.found`).
CONFIG, TRIAL, AGAIN, BATCH, FOUND = "config", "trial", "again", "batch", "found"
#: What the clock said where it decides how many trials there are (`balto.search.pace`).
CLOCK = "clock"
#: What stores knew of the tasks when the search began, if they knew anything.
RECALLED = "recalled"
_LATER = (TRIAL, AGAIN, BATCH, CLOCK, FOUND, RECALLED)
#: What a task's search found, seconds; null where that is not known.
SECONDS = ("latency_s", "untuned_s", "asking_s", "seconds")


def read_records(path: Path) -> list[dict[str, Any]]:
    """What a journal says: the settings, then trials and what batches of them took.

    Raises:
        CampaignError: it is damaged, or a record says what cannot be; with its line.
    """
    records: list[dict[str, Any]] = []
    measured: set[tuple[str, str]] = set()  # task and trace, which is empty for the untuned program
    for place, record in numbered(path):
        with at(f"{path}: {place}"):
            kind = record["kind"]
            if kind not in (
                (TRIAL, AGAIN, BATCH, CLOCK, FOUND, RECALLED) if records else (CONFIG,)
            ):
                raise InputError(f"expected the settings, then trials; got {kind!r}")
            if kind in (TRIAL, AGAIN):
                text_of(record, "task"), text_of(record, "trace")
                possible_outcome(record)
            if kind == TRIAL:
                measured.add((record["task"], record["trace"]))
            if kind == AGAIN:
                _check_measured(record, measured)
            if kind == BATCH:
                text_of(record, "task")
                for name in ("seconds", "asking_s"):
                    check_number(name, record[name], 0)
            if kind == CLOCK:
                check_number("spent_s", record["spent_s"], 0)
            if kind == RECALLED:
                for name, known in recalled_in(record).items():
                    measured.update((name, trace) for trace in known.programs)
            if kind == FOUND:
                _check_found(record, measured)
        records.append(record)
    return records


def recalled_in(record: Mapping[str, Any]) -> dict[str, Known]:
    """What stores knew of each task, as a record says.

    Raises:
        InputError: it says what cannot be.
    """
    return {name: Known.of(known) for name, known in record["tasks"].items()}


def _check_measured(program: dict[str, Any], measured: set[tuple[str, str]]) -> None:
    if (text_of(program, "task"), text_of(program, "trace")) not in measured:
        raise InputError(f"expected a program of {program['task']} that was measured before")


def _check_found(record: dict[str, Any], measured: set[tuple[str, str]]) -> None:
    for each in record["tasks"]:
        if each.get("measured", True):
            _check_measured(each, measured)
        else:
            text_of(each, "task"), text_of(each, "trace")
        for name in SECONDS:
            if each[name] is not None:
                check_number(name, each[name], 0)
        for name in ("wrong", "lost"):
            check_number(name, each[name], 0, whole=True)
    for name, reason in record["untried"]:
        text_of({"name": name}, "name"), text_of({"reason": reason}, "reason")

"""What a search found, kept in its journal: a folder whose search is over does not search again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from balto.data.outcome import Outcome
from balto.data.task import Task
from balto.data.versions import DEPLOYED, versions_of
from balto.deploy.database import DATABASE
from balto.deploy.load import read_metadata
from balto.errors import CampaignError, InputError
from balto.journal.file import Journal
from balto.journal.records import possible_outcome
from balto.search.finalists import running_best, settled
from balto.search.listener import SessionListener
from balto.search.records import (
    AGAIN,
    FOUND,
    JOURNAL,
    RECALLED,
    SECONDS,
    TRIAL,
    recalled_in,
)
from balto.search.tuning import TunedTask
from balto.store.known import FromStore, Known
from balto.tune.folder import MODEL

#: A task's name, and why it keeps TVM's default schedule.
Untried = tuple[str, str]


def keep(journal: Journal, tuned: Sequence[TunedTask], untried: Sequence[Untried] = ()) -> None:
    """Keep what was found; the model that learnt must have been written before.

    Args:
        journal: of the search.
        tuned: what was found.
        untried: tasks that keep TVM's default schedule, since they had no trials.
    """
    tasks = [
        {
            "task": each.task.name,
            "trace": each.trace,
            "measured": not each.unmeasured,
            "wrong": each.wrong,
            "lost": each.lost,
            **{name: _or_none(getattr(each, name)) for name in SECONDS},
        }
        for each in tuned
    ]
    journal.append({"kind": FOUND, "tasks": tasks, "untried": [list(each) for each in untried]})
    journal.sync()


def known(
    out: Path,
    records: Sequence[Mapping[str, Any]],
    tasks: Sequence[Task],
    listener: SessionListener,
) -> tuple[list[TunedTask], list[Untried]] | None:
    """What an earlier run of the same command found, and the tasks that were left untried.

    Args:
        out: the folder; without its model, the search is run again to make it.
        records: of its journal.
        tasks: that were searched, with their modules.
        listener: is told the trials, as by a search that goes on.

    Returns:
        None if the search is not over.

    Raises:
        CampaignError: the journal has another task.
    """
    last = next((each for each in reversed(records) if each["kind"] == FOUND), None)
    if last is None or not (out / MODEL).exists():
        return None
    by_name = {task.name: task for task in tasks}
    if others := {each["task"] for each in last["tasks"]} - by_name.keys():
        raise CampaignError(
            f"{out / JOURNAL} has found {', '.join(sorted(others))}, which is not tuned here: "
            "give another folder"
        )
    tuned = [_tuned(by_name[each["task"]], each, records) for each in last["tasks"]]
    for each in tuned:
        if each.unmeasured:
            continue
        listener.began(each.task.name, each.untuned_s)
        for (_, outcome), best_s in zip(each.programs, each.best_s, strict=True):
            listener.measured(each.task.name, outcome, best_s)
    return tuned, [(name, reason) for name, reason in last["untried"]]


def deployed(out: Path) -> dict[str, Any] | None:
    """What a folder says of itself if it is whole, and was made by today's versions."""
    try:
        metadata = read_metadata(out)
    except InputError:
        return None
    # A database that is there was looked at with the rest.
    whole = (out / DATABASE).is_dir() and metadata["versions"] == versions_of(*DEPLOYED)
    return metadata if whole else None


def _tuned(task: Task, found: Mapping[str, Any], records: Sequence[Mapping[str, Any]]) -> TunedTask:
    times: dict[str, list[Outcome]] = {}
    known: list[Known] = []
    for each in records:
        if each["kind"] == RECALLED and task.name in (recalled := recalled_in(each)):
            known = [recalled[task.name]]
            programs = known[0].programs.items()
            times |= {trace: list(outcomes) for trace, outcomes in programs if trace}
        if each["kind"] in (TRIAL, AGAIN) and each["task"] == task.name and each["trace"]:
            times.setdefault(each["trace"], []).append(possible_outcome(each))
    first = [each[0].latency_median_s if each[0].ok else math.nan for each in times.values()]
    seconds: dict[str, Any] = {
        name: math.nan if found[name] is None else found[name] for name in SECONDS
    }
    return TunedTask(
        task=task,
        trace=found["trace"],
        programs=[(trace, settled(each)) for trace, each in times.items()],
        best_s=running_best(first),
        wrong=found["wrong"],
        lost=found["lost"],
        store=FromStore.of(known),
        **seconds,
    )


def _or_none(seconds: float) -> float | None:
    return seconds if math.isfinite(seconds) else None

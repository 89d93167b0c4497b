"""Whether this machine still agrees with the times that a store has of it."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.task import Task
from balto.search.listener import SessionListener
from balto.store.known import Known
from balto.store.writer import Writer

#: What this computer measured so many seconds ago is taken as it is.
FRESH_S = 3600.0
#: Programs that are timed, of all tasks and of one, at most.
_PROGRAMS, _OF_A_TASK = 12, 4
#: Now over then, or then over now: up to this they agree.
AGREES = 1.25

_Measure = Callable[[Sequence[Candidate]], Iterator[tuple[int, Outcome]]]


def still_true(
    found: Mapping[str, Known],
    tasks: Sequence[Task],
    measure: _Measure,
    writer: Writer,
    listener: SessionListener,
) -> dict[str, Known]:
    """What stores know, by tasks' names; without the times, if a dozen programs say otherwise.

    Args:
        found: what the stores say.
        tasks: of the search.
        measure: times programs.
        writer: is told what they take now, if that agrees.
        listener: is told what came of it, if any was timed.
    """
    old = {task.name: task for task in tasks if _is_old(found.get(task.name, Known()))}
    ranked = [
        (rank, name, trace, seconds)
        for name in old
        for rank, (trace, seconds) in enumerate(found[name].fastest()[:_OF_A_TASK])
    ]
    probes = sorted(ranked, key=lambda each: each[0])[:_PROGRAMS]  # of each task the fastest first
    if not probes:
        return dict(found)
    candidates = [
        Candidate(old[name], 0, k, trace, seconds)
        for k, (_, name, trace, seconds) in enumerate(probes)
    ]
    outcomes = dict(measure(candidates))
    ratios = [
        outcomes[k].latency_median_s / seconds if outcomes[k].ok else math.inf
        for k, (*_, seconds) in enumerate(probes)
    ]
    ratio = statistics.median(ratios)
    agree = 1 / AGREES <= ratio <= AGREES
    listener.stored_times(len(probes), ratio, agree)
    if not agree:
        return {name: known.as_seeds() for name, known in found.items()}
    again: dict[str, dict[str, Sequence[Outcome]]] = {
        name: dict(known.programs) for name, known in found.items()
    }
    for k, (_, name, trace, _) in enumerate(probes):
        writer.trial(old[name], trace, outcomes[k])
        again[name][trace] = [*again[name][trace], outcomes[k]]
    return {name: replace(known, programs=again[name]) for name, known in found.items()}


def _is_old(known: Known) -> bool:
    return bool(known.programs) and not 0 <= time.time() - known.at < FRESH_S

"""What the report shows, gathered from a campaign."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balto.campaign.pool import pool_of
from balto.campaign.status import CampaignStatus, status
from balto.data.pool import Pool
from balto.learn.all_labels import Reference
from balto.learn.metrics import relative_throughput
from balto.learn.round import Round
from balto.learn.saturation import Outlook, outlook
from balto.learn.split import held_out_count
from balto.select.random import Random

#: A program is high-performance if it reaches this share of its task's best. The paper's Figure 1
#: does not define its threshold.
HIGH_PERFORMANCE = 0.5


@dataclass(frozen=True)
class TaskRow:
    """One line of the per-task table.

    Attributes:
        name: the task's name.
        weight: how often it occurs in its networks.
        programs: how many were sampled.
        selected: how many the main selector measured.
        failed: how many of its measurements failed.
        best_s: smallest measured latency, seconds; NaN if none.
        gflops: throughput of the best program, GFLOP/s; NaN where unknown.
        high: share of its measured programs that are high-performance.
        top1: Top-1 on its held-out programs; NaN where there are none.
        top5: Top-5 on its held-out programs.
    """

    name: str
    weight: int
    programs: int
    selected: int
    failed: int
    best_s: float
    gflops: float
    high: float
    top1: float
    top5: float


@dataclass(frozen=True)
class ReportData:
    """Everything on the page.

    Attributes:
        status: the campaign's state.
        devices: names of the devices.
        reference: what a model of all labels reaches; None while the campaign goes on.
        curves: the rounds of each selector, the main one first.
        first_by_chance: whether round 1 drew at random.
        labels_first: y of the programs chosen in round 1, relative to the best known in the end;
            0 for those that failed.
        labels_last: the same for the last round that chose any, if that is a later one.
        high_random: share of high-performance programs among those measured at random: the
            held-out ones; the random rounds where nothing is held out.
        high_selected: the same among those that a model was asked for; NaN where there are none.
        rules: for each round, how many programs each rule chose.
        tasks: the per-task table.
        outlook: what more measurements would bring; None where that cannot be said.
    """

    status: CampaignStatus
    devices: list[str]
    reference: Reference | None
    curves: dict[str, list[Round]]
    first_by_chance: bool
    labels_first: NDArray[np.float64]
    labels_last: NDArray[np.float64]
    high_random: float
    high_selected: float
    rules: list[dict[str, int]]
    tasks: list[TaskRow]
    outlook: Outlook | None


def gather(work_dir: str | Path) -> ReportData:
    """Read a campaign, finished or not.

    Raises:
        CampaignError: If there is no campaign in `work_dir`, its journal is damaged, or it has no
            programs yet.
    """
    now = status(work_dir)
    pool = pool_of(work_dir, now, bare=True)
    main = now.config.selector_spec
    curves = {name: now.facts.curve(name) for name in (main, now.config.compare_spec) if name}
    labels = _labels(pool)
    chosen = {name: _picks(now, pool, name) for name in curves}
    rounds = chosen[main]
    picks = [p for p, _ in rounds if len(p)]
    asked = _joined(p for p, rules in rounds if not _by_chance(rules))
    selected = _joined(p for each in chosen.values() for p, _ in each)
    at_random = np.setdiff1d(np.flatnonzero(np.isfinite(labels)), selected)
    if not len(at_random):
        at_random = _joined(p for p, rules in rounds if _by_chance(rules))
    return ReportData(
        status=now,
        devices=sorted({task.device for task in pool.tasks}),
        reference=now.facts.reference,
        curves=curves,
        first_by_chance=bool(rounds) and _by_chance(rounds[0][1]),
        labels_first=_measured(labels, picks[0]) if picks else np.empty(0),
        labels_last=_measured(labels, picks[-1]) if len(picks) > 1 else np.empty(0),
        high_random=_high(labels[at_random]),
        high_selected=_high(labels[asked]),
        rules=[r.rules for r in curves[main]],
        tasks=_rows(now, pool, labels, _joined(picks)),
        outlook=outlook(curves[main], _selectable(now, pool)),
    )


def _selectable(now: CampaignStatus, pool: Pool) -> int:
    """How many programs are not held out."""
    sizes = np.diff(pool.offsets).tolist()
    return len(pool) - sum(held_out_count(size, now.config.test_share) for size in sizes)


def _labels(pool: Pool) -> NDArray[np.float64]:
    """Labels of all programs, relative to the best of its task; 0 if failed, NaN if unmeasured."""
    y = relative_throughput(pool.latency_s, pool.task_of_program)
    y[~pool.outcomes.measured] = np.nan
    return y


def _picks(
    now: CampaignStatus, pool: Pool, selector: str
) -> list[tuple[NDArray[np.int64], Mapping[str, int]]]:
    """Pool-wide indices of each round's selection, and which rule chose how many."""
    offsets = {task.name: int(pool.offsets[k]) for k, task in enumerate(pool.tasks)}
    chosen = now.facts.selections
    return [
        (
            _joined(
                np.array(programs, dtype=np.int64) + offsets[task]
                for task, programs in chosen[key].picks.items()
            ),
            chosen[key].rules,
        )
        for key in sorted(key for key in chosen if key[0] == selector)
    ]


def _by_chance(rules: Mapping[str, int]) -> bool:
    """Whether a round's programs were drawn at random."""
    return set(rules) <= {Random.name}


def _joined(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])


def _measured(labels: NDArray[np.float64], picks: NDArray[np.int64]) -> NDArray[np.float64]:
    values = labels[picks]
    return values[np.isfinite(values)]


def _high(labels: NDArray[np.float64]) -> float:
    known = labels[np.isfinite(labels)]
    return float(np.mean(known >= HIGH_PERFORMANCE)) if len(known) else float("nan")


def _rows(
    now: CampaignStatus, pool: Pool, labels: NDArray[np.float64], chosen: NDArray[np.int64]
) -> list[TaskRow]:
    accuracy = now.last.task_accuracy if now.last is not None else {}
    task_of = pool.task_of_program
    selected = np.bincount(task_of[chosen], minlength=len(pool.tasks))
    rows = []
    for k, task in enumerate(pool.tasks):
        span = slice(int(pool.offsets[k]), int(pool.offsets[k + 1]))
        outcomes = pool.outcomes.take(np.arange(span.start, span.stop))
        latencies = outcomes.latency_s[outcomes.ok]
        best = float(latencies.min()) if len(latencies) else float("nan")
        judged = accuracy.get(k)
        rows.append(
            TaskRow(
                name=task.name,
                weight=task.weight,
                programs=len(pool.programs(k)),
                selected=int(selected[k]),
                failed=int((outcomes.measured & ~outcomes.ok).sum()),
                best_s=best,
                gflops=task.flop / best / 1e9,
                high=_high(labels[span]),
                top1=judged.top1 if judged else float("nan"),
                top5=judged.top5 if judged else float("nan"),
            )
        )
    return rows


def failures(data: ReportData) -> Counter[str]:
    """How many measurements failed, by kind."""
    counts = data.status.statuses
    counts.pop("ok", None)
    return counts

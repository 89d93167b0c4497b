"""What the report shows, gathered from a campaign."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from balto.campaign.status import Status, pool_of, status
from balto.learn.metrics import relative_throughput
from balto.learn.round import Round
from balto.pool.pool import Pool

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
        curves: the rounds of each selector, the main one first.
        labels_first: y of the programs chosen in round 1, relative to the best known in the end.
        labels_last: the same for the programs chosen in the last round.
        high_random: share of high-performance programs among those measured at random.
        high_selected: the same among those chosen from round 2 on; NaN where there are none.
        rules: for each round, how many programs each rule chose.
        tasks: the per-task table.
    """

    status: Status
    devices: list[str]
    curves: dict[str, list[Round]]
    labels_first: NDArray[np.float64]
    labels_last: NDArray[np.float64]
    high_random: float
    high_selected: float
    rules: list[dict[str, int]]
    tasks: list[TaskRow]


def gather(work_dir: str | Path) -> ReportData:
    """Read a campaign, finished or not.

    Raises:
        CampaignError: there is no campaign, or nothing is measured in it yet.
    """
    now = status(work_dir)
    pool = pool_of(work_dir)
    main = now.config.selector
    curves = {name: now.facts.curve(name) for name in (main, now.config.compare) if name}
    labels = _labels(pool)
    picks = _picks(now, pool)
    later = np.concatenate([*picks[1:], np.empty(0, np.int64)])
    chosen = np.concatenate([*picks, np.empty(0, np.int64)])
    at_random = np.setdiff1d(np.flatnonzero(np.isfinite(labels)), _selected_anywhere(now, pool))
    if not len(at_random):
        at_random = picks[0] if picks else at_random
    return ReportData(
        status=now,
        devices=sorted({task.device for task in pool.tasks}),
        curves=curves,
        labels_first=_measured(labels, picks[0]) if picks else np.empty(0),
        labels_last=_measured(labels, picks[-1]) if len(picks) > 1 else np.empty(0),
        high_random=_high(labels[at_random]),
        high_selected=_high(labels[later]),
        rules=[r.rules for r in curves[main]],
        tasks=_rows(now, pool, labels, chosen),
    )


def _labels(pool: Pool) -> NDArray[np.float64]:
    """Labels of all programs, relative to the best of its task; 0 if failed, NaN if unmeasured."""
    y = relative_throughput(pool.latency_s, pool.task_of_program)
    unmeasured = np.array([outcome is None for outcome in pool.outcomes], dtype=bool)
    y[unmeasured] = np.nan
    return y


def _picks(now: Status, pool: Pool, selector: str = "") -> list[NDArray[np.int64]]:
    """Pool-wide indices of each round's selection."""
    offsets = {task.name: int(pool.offsets[k]) for k, task in enumerate(pool.tasks)}
    wanted = selector or now.config.selector
    rounds = sorted(number for name, number in now.facts.selections if name == wanted)
    return [
        np.array(
            [
                offsets[task] + program
                for task, programs in now.facts.selections[wanted, number][0].items()
                for program in programs
            ],
            dtype=np.int64,
        )
        for number in rounds
    ]


def _selected_anywhere(now: Status, pool: Pool) -> NDArray[np.int64]:
    selectors = [name for name in (now.config.selector, now.config.compare) if name]
    picks = [p for name in selectors for p in _picks(now, pool, name)]
    return np.unique(np.concatenate([*picks, np.empty(0, np.int64)]))


def _measured(labels: NDArray[np.float64], picks: NDArray[np.int64]) -> NDArray[np.float64]:
    values = labels[picks]
    return values[np.isfinite(values)]


def _high(labels: NDArray[np.float64]) -> float:
    known = labels[np.isfinite(labels)]
    return float(np.mean(known >= HIGH_PERFORMANCE)) if len(known) else float("nan")


def _rows(
    now: Status, pool: Pool, labels: NDArray[np.float64], chosen: NDArray[np.int64]
) -> list[TaskRow]:
    accuracy = now.last.task_accuracy if now.last is not None else {}
    task_of = pool.task_of_program
    selected = np.bincount(task_of[chosen], minlength=len(pool.tasks))
    rows = []
    for k, task in enumerate(pool.tasks):
        span = slice(int(pool.offsets[k]), int(pool.offsets[k + 1]))
        outcomes = [o for o in pool.outcomes[span] if o is not None]
        latencies = [o.latency_s for o in outcomes if o.ok]
        best = min(latencies, default=float("nan"))
        judged = accuracy.get(k)
        rows.append(
            TaskRow(
                name=task.name,
                weight=task.weight,
                programs=len(pool.programs(k)),
                selected=int(selected[k]),
                failed=sum(not o.ok for o in outcomes),
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

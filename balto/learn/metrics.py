"""How good a cost model's ranking is: Top-k, pairwise accuracy and RMSE (paper 2.2, 4.1).

Labels are relative throughputs ``y = min latency of the task / latency``, over the programs that
are judged; a program that failed has throughput 0. Top-k of a task is the best label among the
`k` best predicted programs, TenSet's *peak@k*; the paper's text says their average, which is the
same for k = 1 (`average=True`). Over tasks the plain mean is taken; `network_top_k` is TenSet's
latency-weighted form for whole networks.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Random halves of the held-out programs, always the same ones, over which Top-1 is smoothed.
HALVES = 20
_HALF = 3


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of one model on a set of measured programs, means over the tasks.

    Attributes:
        top1: Top-1, in [0, 1].
        top5: Top-5, in [0, 1].
        pairwise: share of the program pairs of a task that are ordered rightly; ties count half.
        rmse: root mean square error of the relative throughput.
        top1_halves: Top-1 on a random half of the programs, the mean of `HALVES` halves: it moves
            less from one round to the next than `top1`, which hangs on one program a task.
        top1_halves_sd: standard deviation over those halves.
    """

    top1: float
    top5: float
    pairwise: float
    rmse: float
    top1_halves: float = math.nan
    top1_halves_sd: float = math.nan

    def to_dict(self) -> dict[str, float]:
        """For JSON.

        Returns:
            Each number by its name, for JSON.
        """
        return asdict(self)


def relative_throughput(latency_s: Floats, task: NDArray[np.int32]) -> Floats:
    """Labels y = T / T_max within each task; 0 for a program without a latency."""
    y = np.zeros(len(latency_s))
    for members in _by_task(task):
        latency = latency_s[members]
        if np.isfinite(latency).any():
            y[members] = np.nan_to_num(np.nanmin(latency) / latency)
    return y


def top_k(scores: Floats, labels: Floats, k: int, *, average: bool = False) -> float:
    """Top-k of one task: the best label among the `k` best predicted, over the best of all.

    Args:
        scores: `n` predictions, higher is better; ties go to the lowest index.
        labels: `n` relative throughputs, at least one above 0.
        k: how many predictions count.
        average: the mean of the `k` labels in the place of their maximum.
    """
    chosen = labels[np.argsort(-scores, kind="stable")[:k]]
    return float((chosen.mean() if average else chosen.max()) / labels.max())


def network_top_k(
    scores: Floats, latency_s: Floats, task: NDArray[np.int32], weight: Floats, k: int
) -> float:
    """Top-k of a network: sum of w x min latency, over sum of w x min latency of the predicted k.

    TenSet's protocol (b); a task whose `k` best predicted all failed makes the network fail: 0.
    """
    best = chosen = 0.0
    for members in _by_task(task):
        latency = np.where(np.isfinite(latency_s[members]), latency_s[members], np.inf)
        if not np.isfinite(latency).any():
            continue
        w = float(weight[task[members[0]]])
        best += w * float(latency.min())
        chosen += w * float(latency[np.argsort(-scores[members], kind="stable")[:k]].min())
    return best / chosen if chosen > 0 else 0.0


def pairwise_accuracy(scores: Floats, labels: Floats) -> float:
    """Share of the pairs with different labels that the scores order alike; a tie counts half.

    NaN where all labels are equal.
    """
    above = labels[:, None] > labels
    pairs = np.count_nonzero(above)
    if not pairs:
        return float("nan")
    right = np.count_nonzero(above & (scores[:, None] > scores))
    tied = np.count_nonzero(above & (scores[:, None] == scores))
    return float((right + tied / 2) / pairs)


def evaluate(
    scores: Floats, relative: Floats, latency_s: Floats, task: NDArray[np.int32]
) -> tuple[Accuracy, dict[int, Accuracy]]:
    """Accuracy over all tasks, and of each task.

    A task none of whose programs could be measured is left out.

    Args:
        scores: `n` scores, higher is better.
        relative: `n` scores mapped to [0, 1] (`CostModel.to_relative_throughput`), for the RMSE.
        latency_s: `n` measured latencies, seconds; NaN where the measurement failed.
        task: `n`, which task each program belongs to.

    Returns:
        Of all tasks together, and of each by its number.
    """
    labels = relative_throughput(latency_s, task)
    tasks: dict[int, Accuracy] = {}
    halves: list[Floats] = []
    for members in _by_task(task):
        y = labels[members]
        if not (y > 0).any():
            continue
        s = scores[members]
        halves.append(_top1_of_halves(s, y, task[members[0]]))
        tasks[int(task[members[0]])] = Accuracy(
            top1=top_k(s, y, 1),
            top5=top_k(s, y, 5),
            pairwise=pairwise_accuracy(s, y),
            rmse=float(np.sqrt(np.mean((relative[members] - y) ** 2))),
            top1_halves=float(halves[-1].mean()),
            top1_halves_sd=float(halves[-1].std()),
        )
    rows = [list(a.to_dict().values())[:4] for a in tasks.values()]
    columns = np.array(rows).reshape(-1, 4)
    means = [float(np.nanmean(c)) if np.isfinite(c).any() else float("nan") for c in columns.T]
    smooth = np.mean(halves, axis=0) if halves else np.full(HALVES, np.nan)
    top1, top5, pairwise, rmse = means
    both = float(smooth.mean()), float(smooth.std())
    return Accuracy(top1, top5, pairwise, rmse, *both), tasks


def _top1_of_halves(scores: Floats, labels: Floats, task: int) -> Floats:
    """Top-1 on each of `HALVES` halves, relative to the best of that half."""
    rng = np.random.default_rng([_HALF, int(task)])
    inside = rng.random((HALVES, len(scores))) < 0.5
    inside[~(inside & (labels > 0)).any(axis=1)] = True  # a half in which all failed tells nothing
    best = np.where(inside, scores, -np.inf).argmax(axis=1)
    return np.asarray(labels[best] / np.where(inside, labels, 0.0).max(axis=1))


def _by_task(task: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
    """The programs of each task, ascending, task after task."""
    order = np.argsort(task, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(task[order])) + 1) if len(task) else ()

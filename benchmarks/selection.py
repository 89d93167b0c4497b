"""Selecting at TenSet's scale: 429,810 programs of 2,307 tasks x 4,000, in 15 rounds.

The paper reports 10.6 minutes for it. Here every round predicts anew (random numbers), and the
selector `balto` picks task by task on one thread, as in a campaign: the first round at random,
then by Algorithm 2 in half of the tasks and by Algorithm 1 in the others. Beside it, in the same
run, `numpy.sort` sorts the same predictions, task by task, 15 times.

The ratio says as much of `numpy.sort` as of the selector: numpy takes the kernel of the newest
vector instructions that there are, and on some processors an older one is far faster. Others::

    NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" python benchmarks/selection.py    # AVX2
    NPY_DISABLE_CPU_FEATURES="X86_V3 X86_V4 AVX512_ICL AVX512_SPR" python ...                 # none

Against the sort by AVX2 the ratio is 1.8 to 2.0. The two passes that group a task's programs by
gap cost half of such a sort, and two thirds of one are spent in Python, on each task's state, its
checks and the switch: 1.5 would need the tasks of a round in one compiled call, which the contract
of a selector is not.

``python benchmarks/selection.py``; the last line is JSON.
"""

from __future__ import annotations

import json
import time

import numpy as np
from numpy.typing import NDArray

from balto.learn.split import allocate_budget, budget_by_round
from balto.select import get
from balto.select.base import TaskState

TASKS, PROGRAMS, ROUNDS, PICKS = 2_307, 4_000, 15, 429_810
PAPER_SECONDS = 636


def main() -> None:
    selector = get("balto")
    budgets = allocate_budget(PICKS, np.full(TASKS, PROGRAMS))
    schedule = np.array([budget_by_round(int(budget), ROUNDS) for budget in budgets])
    labelled = [np.empty(0, dtype=np.int64) for _ in range(TASKS)]
    rng = np.random.default_rng(0)
    for task in (0, 1):  # loads the compiled code
        selector.select(_state(rng.random(PROGRAMS), np.arange(20), task), 12, rng)
    seconds = sort_seconds = 0.0
    for number in range(ROUNDS):
        for task in range(TASKS):
            predictions = rng.random(PROGRAMS)
            own_rng = np.random.default_rng([number, task])
            started = time.perf_counter()
            given = predictions if number else None
            state = _state(given, labelled[task], task)
            picks = selector.select(state, int(schedule[task, number]), own_rng)
            selected = time.perf_counter()
            np.sort(predictions)
            sort_seconds += time.perf_counter() - selected
            seconds += selected - started
            labelled[task] = np.concatenate([labelled[task], picks])
    total = sum(map(len, labelled))
    assert total == PICKS == sum(len(set(programs.tolist())) for programs in labelled)
    print(
        json.dumps(
            {
                "picks": total,
                "seconds": round(seconds, 3),
                "sort_seconds": round(sort_seconds, 3),
                "ratio": round(seconds / sort_seconds, 3),
                "sort_ns_per_program": round(1e9 * sort_seconds / (ROUNDS * TASKS * PROGRAMS), 2),
                "paper_seconds": PAPER_SECONDS,
            }
        )
    )


def _state(
    predictions: NDArray[np.float64] | None, labelled: NDArray[np.int64], task: int
) -> TaskState:
    """One task in one round; labels of 0.2 in even tasks and 0.6 in odd ones set the switch."""
    labels = np.full(len(labelled), 0.6 if task % 2 else 0.2)
    return TaskState(f"task {task}", PROGRAMS, labelled, labels, labels, predictions)


if __name__ == "__main__":
    main()

"""What the constants of `balto/programs/llvm.py` are worth, each tried at other values.

    python experiments/fit_cycles.py
    python experiments/fit_cycles.py pools/epyc-avx512 --tasks 77

Reads the loop nests of recorded programs from their traces (TVM; nothing is timed), and estimates
the cycles of each with one constant changed at a time. Prints, for each value, the change of the
rank correlation of the estimate with the latency within a task: mean over the tasks and its
standard error. Without a pool, those on which the constants were chosen.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import balto
from balto.programs import cycles, llvm
from balto.programs.features import module_in_worker
from balto.programs.nests import read
from balto.programs.schedule import schedule, with_laid_out_weights

POOLS = Path(__file__).resolve().parents[1] / "pools"
CHOSEN_ON = (
    *("epyc-avx2", "epyc-sse", "epyc-avx2-operators"),
    *("epyc-avx2-deep", "epyc-avx2-broad", "epyc-avx512-broad"),
)
#: Shares and multiples of a constant that are tried.
FACTORS = (0.5, 0.75, 1.33, 2.0)
#: Those that can only be whole: a difference is tried.
WHOLE = ("PACKED", "OPERANDS", "WIDTH", "STEP")
#: All but the caches, of which the capacities and the speeds are told apart.
NAMES = (
    *("WHOLE_UNROLL", "EARLY_UNROLL", "SHORTEST", "PACKED", "CHAIN"),
    *("ARITHMETIC_PORTS", "LOAD_PORTS", "STORE_PORTS", "WIDTH", "STEP", "TURN", "ENTER", "RETURN"),
    *("OPERANDS", "APART", "SCATTER", "SELECT", "DIVIDE", "MATH"),
)
BOTH = cycles.COLUMNS.index("program.both")


def nests_of(pool: balto.Pool, tasks: int, programs: int) -> list[tuple[list[Any], np.ndarray]]:
    """The loop nests of some programs, evenly spaced, of some tasks; and their latencies."""
    found = []
    for k in np.unique(np.linspace(0, len(pool.tasks) - 1, tasks).round().astype(int)):
        right = [i for i in pool.programs(int(k)) if pool.outcomes.ok[i]]
        some = np.unique(np.linspace(0, len(right) - 1, programs).round().astype(int))
        chosen = [right[i] for i in some]
        task = pool.tasks[int(k)]
        module = task.module or module_in_worker(task.op, json.loads(task.args))
        made = (with_laid_out_weights(schedule(module, pool.traces[i]).mod) for i in chosen)
        found.append(([read(each) for each in made], pool.latency_s[chosen]))
    return found


def correlations(tasks: Sequence[tuple[list[Any], np.ndarray]]) -> np.ndarray:
    """Of each task: the rank correlation of the estimate with the latency; 0 if it is constant."""
    found = []
    for nests, latency_s in tasks:
        estimate = [cycles.row(nest)[BOTH] for nest in nests]
        varies = len(set(estimate)) > 1
        found.append(spearmanr(estimate, latency_s).statistic if varies else 0.0)
    return np.array(found)


def trials() -> list[tuple[str, str, Any]]:
    """Constant, what is tried in its place as a text, and as a value."""
    tried: list[tuple[str, str, Any]] = []
    for name in NAMES:
        value = getattr(llvm, name)
        if name in WHOLE:
            others = [value + by for by in (-2, -1, 1, 2) if value + by > 0]
        else:
            others = [value * factor for factor in FACTORS]
        tried += [(name, f"{other:.4g}", other) for other in others]
    for factor in FACTORS:
        for k, what in enumerate(("capacities", "speeds")):
            scale = np.ones(2)
            scale[k] = factor
            tried.append(("CACHES", f"{what} x {factor}", tuple(scale * llvm.CACHES)))
    return sorted(tried, key=lambda each: each[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pools", nargs="*", type=Path, default=[POOLS / n for n in CHOSEN_ON])
    parser.add_argument("--tasks", type=int, default=12, help="of each pool, at most")
    parser.add_argument("--programs", type=int, default=40, help="of each task, at most")
    options = parser.parse_args()
    tasks = []
    for path in options.pools:
        tasks += nests_of(balto.read_pool(path), options.tasks, options.programs)
    before = correlations(tasks)
    programs = sum(len(nests) for nests, _ in tasks)
    print(f"{len(tasks)} tasks, {programs} programs: rank correlation {before.mean():.4f}")
    print("\n| constant | value | in its place | change |\n|---|---|---|---|")
    for name, text, other in trials():
        value = getattr(llvm, name)
        setattr(llvm, name, other)
        change = correlations(tasks) - before
        setattr(llvm, name, value)
        error = change.std(ddof=1) / np.sqrt(len(change))
        print(f"| `{name}` | {value} | {text} | {change.mean():+.4f} ± {error:.4f} |", flush=True)


if __name__ == "__main__":
    main()

"""What a description of programs is worth: accuracy of the same forest on different columns.

    python experiments/representation.py [POOL...] [--seeds 16] [--sets store loops loops+decisions]

A quarter of each task is held out; a forest is trained on a share of the rest as `xgb` trains it
(root of the label, weighted by the label, T_max corrected where labels are few), and judged on
random halves of the held-out programs. ``--shares 0`` holds out whole *tasks* in their place, a
quarter at a time: all programs of the others are learnt from. A POOL is a recorded pool, or the
directory of a campaign. Prints Top-1 and Top-5 with the standard error over the seeds, and the
differences to the first set with the standard error of the paired differences; the last line is
one JSON object.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from balto.campaign.status import pool_of
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.learn.metrics import relative_throughput, top_k
from balto.learn.split import test_programs
from balto.models.bins import Bins
from balto.models.forest import Forest, add_steps, grow
from balto.models.pooled import pool_stores
from balto.models.xgb import FOLDS, SAMPLE, XGBSettings, on_the_scale_of
from balto.programs import decisions, loops
from balto.programs.schedule import schedule
from balto.tasks.operators import module
from balto.workers.tvm_setup import import_tvm

POOLS = Path(__file__).resolve().parents[1] / "pools"
TEST_SHARE = 0.25
#: Random halvings of the held-out programs of a task, and the fewest labels that a task needs.
HALVINGS, FEWEST = 4, 12
SETS = ["store", "decisions", "loops", "loops+decisions", "store+loops+decisions"]


class Measured:
    """The measured programs of a pool, and their columns by feature set."""

    def __init__(self, path: Path) -> None:
        campaign = (path / "config.json").exists()
        pool = pool_of(path) if campaign else read_pool(path)
        there = np.array([outcome is not None for outcome in pool.outcomes])
        task = pool.task_of_program
        there &= (np.bincount(task[there], minlength=len(pool.tasks)) >= FEWEST)[task]
        programs = np.flatnonzero(there)
        self.names = [t.name for t in pool.tasks]
        self.task, self.latency_s = task[programs], pool.latency_s[programs]
        self.sets = {
            "store": pool_stores(pool.features.take(programs)),
            "decisions": decisions.extract(pool.traces[i] for i in programs),
            "loops": loops_of(pool, programs),
        }

    def columns(self, sets: str) -> np.ndarray:
        """The columns of some sets, as ``loops+decisions``, side by side."""
        return np.ascontiguousarray(np.hstack([self.sets[name] for name in sets.split("+")]))


def loops_of(pool: Pool, programs: np.ndarray) -> np.ndarray:
    """Schedules every program once more: some seconds for a thousand."""
    tvm = import_tvm(pool.tasks[0].target)
    modules = [t.module or tvm.ir.save_json(module(t.op, json.loads(t.args))) for t in pool.tasks]
    task = pool.task_of_program
    return loops.extract(schedule(modules[task[i]], pool.traces[i]).mod for i in programs)


def splits(measured: Measured, seed: int, share: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Test programs and training programs; several pairs where tasks are held out in turns."""
    tasks = np.unique(measured.task)
    if share == 0:
        group = np.random.default_rng(seed).permutation(len(tasks)) % min(4, len(tasks))
        held = [np.isin(measured.task, tasks[group == g]) for g in np.unique(group)]
        return [(np.flatnonzero(h), np.flatnonzero(~h)) for h in held]
    rng = np.random.default_rng(seed)
    test, train = [], []
    for k in tasks:
        programs = np.flatnonzero(measured.task == k)
        held_out = test_programs(len(programs), TEST_SHARE, seed, measured.names[k])
        rest = rng.permutation(np.delete(programs, held_out))
        test.append(programs[held_out])
        train.append(np.sort(rest[: max(2, round(share * len(rest)))]))
    return [(np.concatenate(test), np.concatenate(train))]


def fit(x: np.ndarray, y: np.ndarray, task: np.ndarray, settings: XGBSettings, seed: int) -> Forest:
    """`XGB.fit` on a plain matrix."""
    roots = np.sqrt(y)
    bins = Bins.of(np.ascontiguousarray(x[:: -(-len(x) // SAMPLE)]), settings.bins)
    codes = bins.encode(np.ascontiguousarray(x[:, bins.columns]))

    def forest(rows: np.ndarray, target: np.ndarray) -> Forest:
        return grow(bins, codes[rows], target, target**2, settings, seed)

    _, group, counts = np.unique(task, return_inverse=True, return_counts=True)
    few = (counts < settings.trusted)[group]
    expected = roots.copy()
    for fold in range(FOLDS if few.any() and len(counts) > 1 else 0):
        asked = np.flatnonzero((group % FOLDS == fold) & few)
        others = np.flatnonzero(group % FOLDS != fold)
        if len(asked) and len(others):
            expected[asked] = np.maximum(predict(forest(others, roots[others]), x[asked]), 0)
    return forest(np.arange(len(x)), on_the_scale_of(expected, roots, task))


def predict(forest: Forest, x: np.ndarray) -> np.ndarray:
    """Predicted roots."""
    steps = np.zeros((forest.value.shape[1], len(x)))
    add_steps(np.ascontiguousarray(x[:, forest.columns]), *forest.trees, steps)
    return np.asarray(forest.base + steps.sum(axis=0))


def one_run(
    measured: Measured, x: np.ndarray, seed: int, share: float, settings: XGBSettings
) -> np.ndarray:
    """Top-1 and Top-5, means over tasks and random halves of the held-out programs."""
    tops = []
    for test, train in splits(measured, seed, share):
        y = relative_throughput(measured.latency_s[train], measured.task[train])
        train, y = train[y > 0], y[y > 0]
        scores = predict(fit(x[train], y, measured.task[train], settings, seed), x[test])
        rng = np.random.default_rng([seed, 1])
        for k in np.unique(measured.task[test]):
            members = np.flatnonzero(measured.task[test] == k)
            halves = []
            for _ in range(HALVINGS):
                shuffled = rng.permutation(members)
                for half in (shuffled[: len(members) // 2], shuffled[len(members) // 2 :]):
                    task = measured.task[test[half]]
                    truth = relative_throughput(measured.latency_s[test[half]], task)
                    if truth.any():
                        halves.append([top_k(scores[half], truth, n) for n in (1, 5)])
            if halves:
                tops.append(np.mean(halves, axis=0))
    return np.mean(tops, axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    there = sorted(path for path in POOLS.iterdir() if path.is_dir())
    parser.add_argument("pools", nargs="*", type=Path, default=there)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--shares", nargs="+", type=float, default=[1.0, 0.05, 0.0])
    parser.add_argument("--seeds", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=XGBSettings.rounds)
    parser.add_argument("--eta", type=float, default=XGBSettings.eta)
    args = parser.parse_args()
    settings = replace(XGBSettings(), rounds=args.rounds, eta=args.eta)
    table = []
    for path in args.pools:
        measured = Measured(path)
        for share in args.shares:
            first = None
            for sets in args.sets:
                x = measured.columns(sets)
                runs = np.array(
                    [one_run(measured, x, s, share, settings) for s in range(args.seeds)]
                )
                first = runs if first is None else first
                mean, more = runs.mean(axis=0), (runs - first).mean(axis=0)
                root = np.sqrt(args.seeds)
                error = runs.std(axis=0, ddof=1) / root
                more_error = (runs - first).std(axis=0, ddof=1) / root
                label = f"{share:.0%}" if share else "other tasks"
                tops = "  ".join(
                    f"Top-{k} {mean[n]:.3f} ± {error[n]:.3f} ({more[n]:+.3f} ± {more_error[n]:.3f})"
                    for n, k in enumerate((1, 5))
                )
                print(f"{path.name:10s} {label:11s} {sets:22s} {x.shape[1]:4d} {tops}", flush=True)
                row = {"pool": path.name, "share": share, "sets": sets, "columns": x.shape[1]}
                values = {"top1": mean[0], "top1_error": error[0], "top5": mean[1]}
                table.append({**row, **{k: round(float(v), 4) for k, v in values.items()}})
    print(json.dumps(table))


if __name__ == "__main__":
    main()

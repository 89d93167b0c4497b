"""What the compiled code says beyond the schedule, and what it costs to look.

    python experiments/compiled.py [POOL] [--programs 120] [--seeds 12]

Compiles programs of every task of a pool with traces to assembly (nothing is timed), describes
each by the instruction mix of its hottest loop, spills and vector widths, and trains the same
forest with and without these columns, on all labels and on 5 %. Prints Top-1 over random halves of
the held-out programs, and the seconds a program that each description costs beside building and
timing it; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

import balto
from balto.data.features import FeatureTable
from balto.learn.metrics import evaluate
from balto.learn.split import Split
from balto.learn.tmax import TMaxEstimator
from balto.measure.build import tvm_target
from balto.programs.recorded import with_all_features
from balto.programs.schedule import schedule
from balto.tasks.operators import module
from balto.workers.tvm_setup import import_tvm

POOL = Path(__file__).resolve().parents[1] / "pools" / "epyc-sse"
TEST_SHARE = 0.25

_LABEL = re.compile(r"^(\.L\w+|\w+):")
_JUMP = re.compile(r"^\tj\w+\t(\.L\w+)")
_INSTRUCTION = re.compile(r"^\t([a-z]\w*)\t?(.*)")
#: Kinds of instructions, by mnemonic; the first that fits counts.
KINDS = {
    "fma": r"vfn?m(add|sub)",
    "multiply": r"v?mul[ps][sd]",
    "add": r"v?(add|sub)[ps][sd]",
    "compare": r"v?(max|min|cmp)[ps][sd]|v?u?comis",
    "shuffle": r"v?(perm|shuf|unpck|insert|extract|blend|broadcast|movddup|pack|palign)",
    "gather": r"v?p?(gather|scatter)",
    "divide": r"v?(div|sqrt|rcp)",
    "move": r"v?mov",
    "address": r"lea|add|sub|inc|dec|imul|shl|sar|and|xor",
    "branch": r"j\w+|cmp|test",
    "call": r"call",
}
#: Of the hottest loop and of the whole program: every kind, and what operands tell.
OPERANDS = ("zmm", "ymm", "xmm", "load", "store", "spill", "scalar")
COLUMNS = [f"{w}.{c}" for w in ("hot", "all") for c in (*KINDS, *OPERANDS, "instructions")] + [
    "loops",
    "hot.share",
]


def describe(assembly: str) -> np.ndarray:
    """One row of `COLUMNS`: log2(1 + counts)."""
    lines, at = [], {}
    for line in assembly.splitlines():
        label = _LABEL.match(line)
        if label:
            at[label[1]] = len(lines)
        elif _INSTRUCTION.match(line):
            lines.append(line)
    loops = [
        (at[jump[1]], end)
        for end, line in enumerate(lines)
        if (jump := _JUMP.match(line)) and at.get(jump[1], end + 1) <= end
    ]
    innermost = [
        (a, b)
        for a, b in loops
        if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)
    ]
    hot = max(innermost, key=lambda span: _arithmetic(lines[span[0] : span[1] + 1]), default=(0, 0))
    parts = [_mix(lines[hot[0] : hot[1] + 1]), _mix(lines)]
    more = [len(loops), 0]
    row = np.log2(1 + np.array([*parts[0], *parts[1], *more], np.float32))
    row[-1] = parts[0][-1] / max(1, parts[1][-1])
    return row


def _arithmetic(lines: list[str]) -> int:
    return sum(bool(re.match(rf"\t({KINDS['fma']}|{KINDS['multiply']})", line)) for line in lines)


def _mix(lines: list[str]) -> list[int]:
    kinds, operands = dict.fromkeys(KINDS, 0), dict.fromkeys(OPERANDS, 0)
    for line in lines:
        found = _INSTRUCTION.match(line)
        assert found
        name, arguments = found[1], found[2]
        for kind, pattern in KINDS.items():
            if re.match(pattern, name):
                kinds[kind] += 1
                break
        for width in ("zmm", "ymm", "xmm"):
            if f"%{width}" in arguments:
                operands[width] += 1
                break
        operands["scalar"] += name.endswith(("ss", "sd"))
        memory = re.search(r"\(([^)]*)\)", arguments)
        if memory and "%" + "xmm" not in memory[1]:
            stored = arguments.rstrip().endswith(")")
            operands["store" if stored else "load"] += 1
            if ("%rsp" in memory[1] or "%rbp" in memory[1]) and re.search("[xyz]mm", arguments):
                operands["spill"] += 1
    return [*kinds.values(), *operands.values(), len(lines)]


def compiled(pool: balto.Pool) -> tuple[np.ndarray, float]:
    """``n x len(COLUMNS)``, and seconds a program: scheduling, compiling and reading."""
    tvm = import_tvm(pool.tasks[0].target)
    modules = [t.module or tvm.ir.save_json(module(t.op, json.loads(t.args))) for t in pool.tasks]
    rows, began = [], time.perf_counter()
    for i, k in enumerate(pool.task_of_program):
        made = schedule(modules[k], pool.traces[i] or "").mod
        target = tvm_target(pool.tasks[k].target)
        rows.append(describe(tvm.tirx.build(made, target).inspect_source("asm")))
    return np.array(rows, np.float32), (time.perf_counter() - began) / len(pool)


def some(pool: balto.Pool, count: int) -> balto.Pool:
    """The first programs of every task."""
    sizes = [min(count, len(pool.programs(k))) for k in range(len(pool.tasks))]
    kept = np.concatenate([pool.offsets[k] + np.arange(n) for k, n in enumerate(sizes)])
    return replace(
        pool,
        features=pool.features.take(kept),
        outcomes=pool.outcomes.take(kept),
        traces=[pool.traces[i] for i in kept],
        offsets=np.concatenate([[0], np.cumsum(sizes)]),
    )


def top1(pool: balto.Pool, x: np.ndarray, share: float, seed: int) -> float:
    """Top-1 over random halves of the held-out programs, of `xgb` with the columns `x` added."""
    split, rng = Split.of(pool, TEST_SHARE, seed), np.random.default_rng(seed)
    test = np.concatenate([pool.offsets[k] + held for k, held in enumerate(split.test)])
    train = np.concatenate(
        [
            pool.offsets[k] + rng.permutation(free)[: max(2, round(share * len(free)))]
            for k, free in enumerate(split.train)
        ]
    )
    train = train[pool.outcomes.ok[train]]
    task, latency = pool.task_of_program, pool.latency_s
    best = np.full(len(pool.tasks), np.inf)
    np.minimum.at(best, task[train], latency[train])
    y, t = best[task[train]] / latency[train], task[train]
    features = pool.features.select(["decisions", "loops", "cycles"])
    known = features.take(train)
    y = y * TMaxEstimator().shares(known, y, t, known.names, seed)
    model = _WithColumns(seed=seed)
    model.columns = x[train]
    model.fit(known, y, t)
    model.columns = x[test]
    scores = model.predict(features.take(test))
    accuracy, _ = evaluate(scores, np.clip(scores, 0, 1), latency[test], task[test])
    return accuracy.top1_halves


class _WithColumns(balto.models.XGB):
    """`xgb` that reads more columns, which are set before it is asked."""

    columns: np.ndarray

    def taught(self, features: FeatureTable) -> np.ndarray:
        """The columns, where a warm start has the sources' predictions."""
        assert len(features) == len(self.columns)
        return self.columns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pool", nargs="?", type=Path, default=POOL)
    parser.add_argument("--programs", type=int, default=120, help="of each task, at most")
    parser.add_argument("--seeds", type=int, default=12)
    options = parser.parse_args()
    pool = with_all_features(balto.read_pool(options.pool))
    pool = some(pool, options.programs)
    columns, cost_s = compiled(pool)
    none = np.empty((len(pool), 0), np.float32)
    measured = [pool.outcomes[i] for i in np.flatnonzero(pool.outcomes.ok)]
    result = {
        "pool": options.pool.name,
        "programs": len(pool),
        "seconds_a_program": {
            "compiled code": round(cost_s, 4),
            "building": round(float(np.nanmean([o.build_s for o in measured])), 4),
            "timing": round(float(np.nanmean([o.measure_s for o in measured])), 4),
        },
    }
    for share in (1.0, 0.05):
        runs = {
            name: np.array([top1(pool, x, share, s) for s in range(options.seeds)])
            for name, x in (("without", none), ("with", columns))
        }
        gain = runs["with"] - runs["without"]
        error = gain.std(ddof=1) / np.sqrt(options.seeds)
        result[f"{share:.0%}"] = {
            **{name: round(float(tops.mean()), 4) for name, tops in runs.items()},
            "gain": round(float(gain.mean()), 4),
            "error": round(float(error), 4),
        }
        print(f"{share:.0%} of the labels: {result[f'{share:.0%}']}", flush=True)
    print(json.dumps(result))


if __name__ == "__main__":
    main()

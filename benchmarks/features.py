"""Programs a second of each feature set, beside TVM's own extractor of per-store features.

    python benchmarks/features.py [--pool POOL] [--programs 100] [--rounds 5]

The same scheduled programs of every task, one core, the extractors in turns; a set's time is its
median over the rounds. `decisions` is timed from the traces' JSON, and from arrays of decisions of
one skeleton, as a search has them. Scheduling is nobody's part: who extracts has the schedules. The
last line is one JSON object; its ratios are to TVM's extractor.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.programs import assembly, cycles, decisions, loops
from balto.programs.schedule import schedule
from balto.tasks.operators import module
from balto.workers.child import pin
from balto.workers.tvm_setup import import_tvm

POOL = Path(__file__).resolve().parents[1] / "pools" / "epyc-avx2"
#: Candidates that are looked at at once, of one skeleton.
CANDIDATES = 4096
#: Programs that are compiled.
COMPILED = 4


def extractors(pool: Pool, task: int, count: int) -> dict[str, tuple[Callable[[], object], int]]:
    """A function for each set, and of how many programs it makes rows."""
    described = pool.tasks[task]
    tvm = import_tvm(described.target)
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.meta_schedule.arg_info import ArgInfo

    mod = module(described.op, json.loads(described.args))
    traces = [pool.traces[i] or "" for i in pool.programs(task)[:count]]
    schedules = [schedule(tvm.ir.save_json(mod), trace) for trace in traces]
    context = ms.TuneContext(
        mod=mod, target=tvm.target.Target(described.target.to_dict()), num_threads=1
    )
    arguments = ArgInfo.from_entry_func(mod, remove_preproc=True)
    candidates = [ms.MeasureCandidate(sch, arguments) for sch in schedules]
    stores = ms.feature_extractor.PerStoreFeature()

    instructions, decided = json.loads(traces[0])
    skeleton = decisions.Skeleton(instructions)
    chosen = dict(decided)
    arrays = [np.repeat(np.array([chosen[k]]), CANDIDATES, axis=0) for k in skeleton.sampling]
    modules = [sch.mod for sch in schedules]
    return {
        "store": (
            lambda: [f.numpy() for f in stores.extract_from(context, candidates)],
            len(candidates),
        ),
        "loops": (lambda: loops.extract(modules), len(modules)),
        "cycles": (lambda: cycles.extract(modules), len(modules)),
        "assembly": (lambda: assembly.extract(modules[:COMPILED], context.target), COMPILED),
        "decisions": (lambda: decisions.extract(traces), len(traces)),
        "decisions, arrays": (lambda: skeleton.rows(arrays), CANDIDATES),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, default=POOL)
    parser.add_argument("--programs", type=int, default=100, help="of each task")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    pin([min(os.sched_getaffinity(0))])
    pool = read_pool(args.pool)
    seconds: dict[str, list[float]] = {}  # per program, of each task
    for task in range(len(pool.tasks)):
        functions = extractors(pool, task, args.programs)
        taken: dict[str, list[float]] = {name: [] for name in functions}
        for _ in range(args.rounds):
            for name, (function, count) in functions.items():
                started = time.perf_counter()
                function()
                taken[name].append((time.perf_counter() - started) / count)
        for name, times in taken.items():
            seconds.setdefault(name, []).append(statistics.median(times))
        rates = "  ".join(f"{name} {1 / seconds[name][-1]:,.0f}/s" for name in functions)
        print(f"{pool.tasks[task].name:44s} {rates}", flush=True)
    mean = {name: statistics.fmean(times) for name, times in seconds.items()}
    rate = {name: round(1 / value) for name, value in mean.items()}
    ratio = {name: round(mean["store"] / value, 1) for name, value in mean.items()}
    print(json.dumps({"programs_per_s": rate, "ratio_to_tvm": ratio}))


if __name__ == "__main__":
    main()

"""Programs measured a second: ours against MetaSchedule's stock parts and a naive warm process.

The same candidates, on the same cores, in turns; everything runs twice, so that the rank
correlation between two independent measurements of the same programs can be told. The stock
parts as they come are so slow that they get only the first `--stock` of the candidates.

    python benchmarks/measure.py
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from balto.data.candidate import Candidate

_ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, _ROOT)  # for this process and our workers
os.environ["PYTHONPATH"] = _ROOT  # for the processes that TVM starts

from benchmarks._agreement import agreement  # noqa: E402
from benchmarks._systems import Latencies, naive, ours, stock  # noqa: E402
from benchmarks._workloads import candidates as sample  # noqa: E402

System = Callable[[Sequence[Candidate]], tuple[float, Latencies]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=20, help="programs of each operator")
    parser.add_argument("--stock", type=int, default=10, help="programs of the stock parts, in all")
    parser.add_argument("--target", default="llvm", help="as for balto pretrain")
    options = parser.parse_args()
    programs = sample(options.programs, options.target)
    systems: dict[str, System] = {
        "ours": ours,
        "naive": naive,
        "stock_warm": lambda some: stock(some, warm=True),
    }
    seconds: dict[str, list[float]] = {name: [] for name in systems}
    latencies: dict[str, list[Latencies]] = {name: [] for name in systems}
    for turn in (1, 2):
        for name, system in systems.items():
            spent, found = system(programs)
            seconds[name].append(spent)
            latencies[name].append(found)
            print(f"turn {turn}: {name} {len(programs) / spent:.2f} programs/s", flush=True)
    rates = {name: len(programs) / float(np.mean(spent)) for name, spent in seconds.items()}
    if options.stock:
        some = programs[: options.stock]
        spent, found = stock(some, warm=False)
        rates["stock"] = len(some) / spent
        print(f"stock {rates['stock']:.3f} programs/s, {np.isnan(found).sum()} failed", flush=True)
    tasks = [c.task_id for c in programs]
    result = {
        "programs": len(programs),
        **{f"{name}_per_s": round(rates.get(name, math.nan), 3) for name in (*systems, "stock")},
        **{
            f"ratio_{name}": round(rates["ours"] / rates[name], 2)
            for name in ("stock", "stock_warm", "naive")
            if name in rates
        },
        "rank_correlation": {n: agreement(a, b, tasks) for n, (a, b) in latencies.items()},
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

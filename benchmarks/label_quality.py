"""How well latencies hold when the machine is not the same an hour later.

The same programs are measured twice: first on a quiet machine, then with a neighbour core kept
busy by a process that streams through memory. Told are the rank correlation within a task and the
median deviation between the two, for ours and for MetaSchedule's stock runner at equal time: the
stock runner (its slow start taken out) is given its own repeats on as many of the programs, in
turns, as it can do in the time that ours takes for all.

    python benchmarks/label_quality.py
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, _ROOT)  # for this process and our workers
os.environ["PYTHONPATH"] = _ROOT  # for the processes that TVM starts

from benchmarks._agreement import agreement  # noqa: E402
from benchmarks._systems import ours, stock  # noqa: E402
from benchmarks._workloads import candidates as sample  # noqa: E402

_LOAD = "import numpy as np\na = np.ones(1 << 23)\nwhile True: a += 1.0"


@contextlib.contextmanager
def loaded_neighbour(cpu: int) -> Iterator[None]:
    """Keep one core busy."""
    process = subprocess.Popen(
        [sys.executable, "-c", _LOAD], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    os.sched_setaffinity(process.pid, {cpu})
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=40, help="programs of each operator")
    parser.add_argument("--target", default="llvm", help="as for balto pretrain")
    options = parser.parse_args()
    programs = sample(options.programs, options.target)
    neighbour = min(os.sched_getaffinity(0))
    ours_s, before = ours(programs)
    with loaded_neighbour(neighbour):
        ours_loaded_s, after = ours(programs)
    print(f"ours: {ours_s:.1f} s, {ours_loaded_s:.1f} s with the neighbour", flush=True)
    trial_s, _ = stock(programs[:5], warm=True)
    affordable = min(len(programs), max(10, math.floor(5 * ours_s / trial_s)))
    some = programs[:affordable]
    stock_s, stock_before = stock(some, warm=True)
    with loaded_neighbour(neighbour):
        _, stock_after = stock(some, warm=True)
    result = {
        "ours": {
            "programs": len(programs),
            "seconds": round(ours_s, 1),
            **agreement(before, after, [c.task_id for c in programs]),
        },
        "ours_same_programs": agreement(
            before[:affordable], after[:affordable], [c.task_id for c in some]
        ),
        "stock_warm": {
            "programs": affordable,
            "seconds": round(stock_s, 1),
            **agreement(stock_before, stock_after, [c.task_id for c in some]),
        },
        "shift": round(float(np.nanmedian(after / before)) - 1, 4),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""An unattended run with faults: nothing lost, nothing counted twice, memory flat, rate steady.

Measures thousands of programs and journals every outcome. Two in a hundred are made to fail for
real: their process is killed while they build or run, or the program itself writes to a wild
address, never ends, or asks for 64 GiB.

    python benchmarks/soak.py

With ``--hostile`` it is live campaigns that are attacked instead, as `benchmarks/_hostile.py`
says; a night of it is ``--hostile --faults 2000``.

    python benchmarks/soak.py --hostile --faults 100
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from balto.data.candidate import Candidate
from balto.journal.file import Journal, read
from balto.journal.records import outcome_to_record
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings

_ROOT = str(Path(__file__).resolve().parent.parent)
sys.path.insert(0, _ROOT)  # for this process and our workers
os.environ["PYTHONPATH"] = _ROOT  # for the processes that TVM starts

from benchmarks import _hostile  # noqa: E402
from benchmarks._faults import FAULTS, faulty  # noqa: E402
from benchmarks._workloads import candidates as sample  # noqa: E402

KILL = "kill"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=3000)
    parser.add_argument("--share", type=float, default=0.02, help="of the programs that fail")
    parser.add_argument("--target", default="llvm", help="as for balto pretrain")
    parser.add_argument("--hostile", action="store_true", help="attack live campaigns instead")
    parser.add_argument("--faults", type=int, default=100, help="how many, with --hostile")
    parser.add_argument("--minutes", type=float, default=1e9, help="no longer, with --hostile")
    parser.add_argument("--only", choices=("all", "kills"), default="all", help="with --hostile")
    parser.add_argument("--seed", type=int, default=0, help="with --hostile")
    options = parser.parse_args()
    if options.hostile:
        kinds = _hostile.KILLS if options.only == "kills" else tuple(_hostile.FAULTS)
        with tempfile.TemporaryDirectory() as folder:
            week = _hostile.Week(Path(folder), options.seed, kinds)
            print(json.dumps(week.run(options.faults, 60 * options.minutes)))
        return
    random.seed(0)
    programs = sample(-(-options.programs // 5), options.target)[: options.programs]
    number = round(options.share * len(programs))
    faults = {
        index: [*FAULTS, KILL][i % (len(FAULTS) + 1)]
        for i, index in enumerate(random.sample(range(len(programs)), number))
    }
    bad = faulty(programs[0].task.target)
    programs = [
        Candidate(bad[faults[i]], c.task_id, c.program_id, trace="") if faults.get(i) in bad else c
        for i, c in enumerate(programs)
    ]
    with tempfile.TemporaryDirectory() as folder:
        report = run(programs, faults, Path(folder) / "journal")
    print(json.dumps(report))


def run(programs: list[Candidate], faults: dict[int, str], path: Path) -> dict[str, object]:
    """Measure all, killing a worker whenever a program is due whose fault is `KILL`."""
    settings = MeasureSettings(run_timeout_s=2.0, build_timeout_s=15.0, recycle_bytes=600 << 20)
    memory, times = [], []
    statuses: Counter[str] = Counter()
    unexpected: Counter[str] = Counter()
    started = time.perf_counter()
    with (
        Journal.open(path) as journal,
        LiveMeasurer.for_target(programs[0].task.target, settings) as measurer,
    ):
        kills = sorted(i for i, fault in faults.items() if fault == KILL)
        killed = 0
        for done, (index, outcome) in enumerate(measurer.measure(programs)):
            journal.append({"index": index, **outcome_to_record(outcome)})
            statuses[outcome.status.value] += 1
            if not outcome.ok and faults.get(index, KILL) == KILL:
                unexpected[outcome.status.value] += 1
            times.append(time.perf_counter() - started)
            memory.append(measurer.memory_bytes())
            if kills and done >= kills[0] and measurer.pids():
                kills.pop(0)
                killed += 1
                os.kill(random.choice(measurer.pids()), signal.SIGKILL)
            if done % 100 == 99:
                print(f"{done + 1} of {len(programs)}, {dict(statuses)}", flush=True)
    indices = [record["index"] for record in read(path)]
    half = len(times) // 2
    quarter = max(1, len(memory) // 4)
    return {
        "programs": len(programs),
        "seconds": round(times[-1], 1),
        "lost": len(set(range(len(programs))) - set(indices)),
        "counted_twice": len(indices) - len(set(indices)),
        "statuses": dict(statuses),
        "injected": dict(Counter(faults.values())),
        "workers_killed": killed,
        "failed_without_own_fault": dict(unexpected),
        "rate_first_half": round(half / times[half - 1], 2),
        "rate_second_half": round((len(times) - half) / (times[-1] - times[half - 1]), 2),
        "memory_mib_second_quarter": round(float(np.mean(memory[quarter : 2 * quarter])) / 2**20),
        "memory_mib_last_quarter": round(float(np.mean(memory[-quarter:])) / 2**20),
        "memory_mib_peak": round(max(memory) / 2**20),
    }


if __name__ == "__main__":
    main()

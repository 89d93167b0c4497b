"""A pool past the limit of 32-bit offsets: written as a stream, read mapped, replayed for a round.

Prints one JSON line: seconds and peak memory of each step. Features and latencies are made up;
what is measured is the handling of 14 million store rows, as many as 3.5 million programs have.

    python benchmarks/large_pool.py [--tasks 875] [--folder .]

Needs 10 GB in the folder for temporary files (``TMPDIR``), and as much in `--folder`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil

import balto
from balto.data.features import STORE
from balto.data.outcomes import NUMBERS, STATUSES
from balto.data.pool_writer import write_parts

PROGRAMS, STORES = 4_000, 4


def parts(tasks: int) -> Iterator[tuple[balto.Task, balto.Pool, np.ndarray]]:
    """One made-up task after the other."""
    weights = np.random.default_rng(0).normal(size=STORE.width) * (np.arange(STORE.width) < 6)
    for k in range(tasks):
        rng = np.random.default_rng([1, k])
        rows = np.round(rng.uniform(0, 8, (PROGRAMS * STORES, STORE.width)) * 2).astype(np.float32)
        total = rows.reshape(PROGRAMS, STORES, -1).mean(axis=1) / 2
        latency = 1e-4 * np.exp(0.3 * total @ weights)
        outcomes = balto.Outcomes.from_columns(
            np.full(PROGRAMS, STATUSES.index(balto.Status.OK), np.uint8),
            {name: latency if "latency" in name else np.full(PROGRAMS, 0.1) for name in NUMBERS},
            np.full(PROGRAMS, 3, np.int32),
            {},
        )
        offsets = np.arange(PROGRAMS + 1, dtype=np.int64) * STORES
        features = balto.FeatureTable({STORE.name: balto.Features(rows, offsets)})
        task = balto.Task(f"task {k}", "made-up", "[]", 1, balto.Target("llvm"), "none")
        pool = balto.Pool([task], np.array([0, PROGRAMS]), features, [None] * PROGRAMS, outcomes)
        yield task, pool, np.arange(PROGRAMS)


def step(name: str, folder: Path, tasks: int) -> None:
    """Run one step, and print what it took."""
    started = time.perf_counter()
    found: dict[str, float | None] = {}
    if name == "write":
        found["programs"] = write_parts(parts(tasks), folder)
        found["file_bytes"] = sum(f.stat().st_size for f in folder.iterdir())
    else:
        pool = balto.read_pool(folder)
        found["read_s"] = round(time.perf_counter() - started, 1)
        found["store_rows"] = len(pool.features["store"].rows)
        result = balto.replay(pool, budget=0.05, rounds=1, test_share=0.1)
        found["measurements"] = result.measurements
        found["top1"] = result.accuracy.top1 if result.accuracy else None
    memory = psutil.Process().memory_full_info()
    found["anonymous_bytes_now"] = memory.uss
    peak = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) << 10
    found["peak_resident_bytes"] = peak
    print(json.dumps({"seconds": round(time.perf_counter() - started, 1), **found}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=875)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--step", choices=["write", "replay"])
    options = parser.parse_args()
    if options.step:
        step(options.step, options.folder, options.tasks)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        report = {}
        for name in ("write", "replay"):  # a process each: its peak is its own
            command = [sys.executable, __file__, "--step", name, "--folder", folder]
            run = subprocess.run(
                [*command, "--tasks", str(options.tasks)], check=True, stdout=subprocess.PIPE
            )
            report[name] = json.loads(run.stdout.splitlines()[-1])
    print(json.dumps(report))


if __name__ == "__main__":
    main()

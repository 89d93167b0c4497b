"""The paper's size, 2,307 tasks of 4,000 programs, step by step: seconds and peak memory of each.

    python benchmarks/paper_size.py [--scale 0.05] [--folder .] [--rounds 15]

`--scale` takes that share of the tasks. Features (the set `decisions`) and latencies are made up;
selection, training, prediction, the journal, resuming after a ``kill -9`` and the report are
balto's own, on a recorded pool. Drawing is timed on real TVM programs of a few operators
(`--real`, programs of each) and extrapolated. Every step is a process of its own, so that its peak
of memory is its own. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import balto
from balto.data.features import DECISIONS
from balto.data.outcomes import NUMBERS, STATUSES
from balto.data.pool_writer import write_parts

TASKS, PROGRAMS = 2_307, 4_000
OPERATORS = ("matmul:128x128x128", "conv2d_nhwc:1x14x14x64x64x3x1x1", "softmax_mn:256x256")


def parts(tasks: int) -> Iterator[tuple[balto.Task, balto.Pool, np.ndarray]]:
    """One made-up task after the other; one program in twenty fails."""
    weights = np.random.default_rng(0).normal(size=DECISIONS.width)
    weights *= np.arange(DECISIONS.width) < 12
    for k in range(tasks):
        rng = np.random.default_rng([1, k])
        rows = rng.integers(0, 9, (PROGRAMS, DECISIONS.width)).astype(np.float32)
        noise = 0.05 * rng.normal(size=PROGRAMS)
        latency = 1e-4 * np.exp(0.12 * (rows @ weights) + noise)
        status = np.full(PROGRAMS, STATUSES.index(balto.Status.OK), np.uint8)
        failed = rng.random(PROGRAMS) < 0.05
        status[failed] = STATUSES.index(balto.Status.BUILD_ERROR)
        seconds = {n: latency if "latency" in n else np.full(PROGRAMS, 0.1) for n in NUMBERS}
        numbers = {n: np.where(failed, np.nan, column) for n, column in seconds.items()}
        outcomes = balto.Outcomes.from_columns(status, numbers, np.full(PROGRAMS, 3, np.int32), {})
        offsets = np.arange(PROGRAMS + 1, dtype=np.int64)
        features = balto.FeatureTable({DECISIONS.name: balto.Features(rows, offsets)})
        task = balto.Task(f"task {k}", "made-up", "[]", 1, balto.Target("llvm"), "none", 1e6)
        pool = balto.Pool([task], np.array([0, PROGRAMS]), features, [None] * PROGRAMS, outcomes)
        yield task, pool, np.arange(PROGRAMS)


def campaign(folder: Path, rounds: int) -> dict[str, float]:
    """Run, or go on with, a replay; what its rounds took."""
    config = balto.Config(pool=str(folder / "pool"), budget=0.05, rounds=rounds, test_share=0.1)
    with balto.Campaign(folder / "work", config) as running:
        result = running.run()
    return {
        "measurements": result.measurements,
        "top1": result.accuracy.top1 if result.accuracy else float("nan"),
        "select_s": sum(each.select_s for each in result.rounds),
        "fit_s": sum(each.fit_s for each in result.rounds),
        "last_fit_s": result.rounds[-1].fit_s,
    }


def step(name: str, folder: Path, tasks: int, rounds: int, real: int) -> dict[str, float]:
    """One step, in its own process."""
    if name == "draw":
        found = balto.extract_tasks(operator_specs=OPERATORS).tasks
        balto.sample(found[0], 2)  # TVM loads
        started = time.perf_counter()
        drawn = balto.sample(found, real)
        return {"programs": len(drawn), "draw_s": time.perf_counter() - started}
    if name == "write":
        count = write_parts(parts(tasks), folder / "pool")
        size = sum(file.stat().st_size for file in (folder / "pool").iterdir())
        return {"programs": count, "bytes": size}
    if name in ("run", "resume"):
        return campaign(folder, rounds)
    if name == "status":
        now = balto.status(folder / "work")
        at = now.progress
        return {"measured": at.measured, "journal_bytes": journal_size(folder)}
    if name == "predict":
        model, _ = balto.load_model(folder / "work" / "model.balto")
        pool = balto.read_pool(folder / "pool")
        started = time.perf_counter()
        scores = model.predict(pool.features)
        return {"programs": len(scores), "predict_s": time.perf_counter() - started}
    page = balto.write_report(folder / "work")
    return {"bytes": page.stat().st_size}


def journal_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in (folder / "work").glob("journal*"))


def timed(name: str, options: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Run a step in a process of its own; seconds and peak memory with what it found."""
    started = time.perf_counter()
    command = [sys.executable, __file__, "--step", name, "--folder", str(folder)]
    command += ["--scale", str(options.scale), "--rounds", str(options.rounds)]
    out = subprocess.run(
        [*command, "--real", str(options.real)], check=True, stdout=subprocess.PIPE, text=True
    )
    found: dict[str, float] = json.loads(out.stdout.splitlines()[-1])
    found["seconds"] = time.perf_counter() - started
    print(name, json.dumps(found), flush=True)
    return found


def killed(options: argparse.Namespace, folder: Path) -> None:
    """Begin the campaign, and kill it with -9 when some rounds are journalled."""
    command = [sys.executable, __file__, "--step", "run", "--folder", str(folder)]
    command += ["--scale", str(options.scale), "--rounds", str(options.rounds)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    journal = folder / "work" / "journal.jsonl"
    while process.poll() is None:
        time.sleep(0.5)
        if journal.exists() and b'"kind":"round"' in journal.read_bytes()[-1_000_000:]:
            break
    os.kill(process.pid, signal.SIGKILL)
    if process.wait() != -signal.SIGKILL:
        raise RuntimeError("it was gone before it was killed")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scale", type=float, default=0.05, help="share of the 2,307 tasks")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--real", type=int, default=128, help="real programs drawn an operator")
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--step", help=argparse.SUPPRESS)
    options = parser.parse_args()
    tasks = max(1, round(TASKS * options.scale))
    if options.step:
        found = step(options.step, options.folder, tasks, options.rounds, options.real)
        peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
        used = {"cpu_s": time.process_time(), "peak_gib": int(peak) / 2**20}
        print(json.dumps({**found, **used}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        report = {"tasks": tasks, "draw": timed("draw", options, folder)}
        report["write"] = timed("write", options, folder)
        started = time.perf_counter()
        killed(options, folder)
        report["killed_after_s"] = time.perf_counter() - started
        for each in ("resume", "status", "predict", "report"):
            report[each] = timed(each, options, folder)
    each = report["draw"]["draw_s"] / report["draw"]["programs"]
    report["draw_hours_at_full_size"] = each * TASKS * PROGRAMS / 3600
    print(json.dumps(report))


if __name__ == "__main__":
    main()

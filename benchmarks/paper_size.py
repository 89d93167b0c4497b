"""The paper's size, 2,307 tasks of 4,000 programs, step by step: seconds and peak memory of each.

    python benchmarks/paper_size.py [--scale 0.05] [--folder .] [--rounds 15]

`--scale` takes that share of the tasks. Features (the set `decisions`) and latencies are made up;
selection, training, prediction, the journal, resuming after a ``kill -9`` and the report are
balto's own, on a recorded pool. Drawing is timed on real TVM programs of a few operators
(`--real`, programs of each) and extrapolated; what a live campaign keeps in memory of its files is
measured on made-up files of a twentieth of the tasks. Every step is a process of its own, so that
its peak of memory and its seconds of processor are its own. The last line is one JSON object.
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
from balto.campaign.programs import encode_programs, make_pool, read_features
from balto.campaign.records import Programs
from balto.campaign.status import status
from balto.data import mapped
from balto.data.features import DECISIONS
from balto.data.features import FEATURE_SETS as SETS
from balto.data.files import sha256
from balto.data.outcomes import NUMBERS, STATUSES
from balto.data.pool_writer import write_parts
from balto.programs.sample import Sampled

TASKS, PROGRAMS = 2_307, 4_000
#: Share of the tasks whose files are made up as a live campaign has them.
LIVE = 0.05
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
    if name == "files":
        return write_files(folder, max(1, round(tasks * LIVE)))
    if name == "live":
        return open_files(folder)
    if name == "status":
        now = status(folder / "work")
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


def write_files(folder: Path, tasks: int) -> dict[str, float]:
    """The files of a live campaign, with made-up features of every set."""
    rng, size = np.random.default_rng(0), 0
    values = np.log2(1 + np.arange(256, dtype=np.float32) ** 2)
    for k in range(tasks):
        stores, one = rng.integers(2, 7, PROGRAMS), np.ones(PROGRAMS, int)
        rows = {}
        for name, each in SETS.items():
            counts = stores if name == "store" else one
            drawn = values[rng.integers(0, 256, (counts.sum(), each.width), dtype=np.uint8)]
            rows[name] = np.split(drawn, np.cumsum(counts)[:-1])
            size += drawn.nbytes
        _, data = encode_programs(Sampled([""] * PROGRAMS, rows, []))
        (folder / f"{k:05d}.parquet").write_bytes(data)
    return {"programs": tasks * PROGRAMS, "bytes_a_program": size / (tasks * PROGRAMS)}


def open_files(folder: Path) -> dict[str, float]:
    """Bytes a program that a live campaign keeps of them.

    As at the full size, where every set is mapped: the limit is lowered to a set of one task.
    """
    paths = sorted(folder.glob("[0-9]*.parquet"))
    programs = [Programs(PROGRAMS, sha256(path)) for path in paths]
    made = [each for each, _, _ in parts(len(paths))]
    mapped.MAPPED = PROGRAMS * DECISIONS.width
    sets = balto.create_model("xgb").sets_for(read_features(paths[0], programs[0]))
    before, started = resident("RssAnon"), time.perf_counter()
    pool = make_pool(made, paths, programs, sets)
    return {
        "programs": len(pool),
        "open_s": time.perf_counter() - started,
        "anonymous_bytes_a_program": (resident("RssAnon") - before) / len(pool),
        "mapped_bytes_a_program": sum(pool.features[n].rows.nbytes for n in sets) / len(pool),
    }


def resident(kind: str) -> int:
    """What ``/proc`` says of this process's memory, bytes."""
    return int(Path("/proc/self/status").read_text().split(f"{kind}:")[1].split()[0]) << 10


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
        used = {"cpu_s": time.process_time(), "peak_gib": resident("VmHWM") / 2**30}
        print(json.dumps({**found, **used}))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        report = {"tasks": tasks, "draw": timed("draw", options, folder)}
        report["write"] = timed("write", options, folder)
        started = time.perf_counter()
        killed(options, folder)
        report["killed_after_s"] = time.perf_counter() - started
        for each in ("resume", "status", "predict", "report", "files", "live"):
            report[each] = timed(each, options, folder)
    each = report["draw"]["draw_s"] / report["draw"]["programs"]
    report["draw_hours_at_full_size"] = each * TASKS * PROGRAMS / 3600
    print(json.dumps(report))


if __name__ == "__main__":
    main()

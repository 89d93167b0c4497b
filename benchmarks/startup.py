"""How long a person waits: ``balto --help``, a campaign's first measured program, a new worker.

The rival of a worker is TVM's own, ``PopenWorker``, which builds and runs for MetaSchedule: both
are started, and called for the first time, in turns. The last line is ``{"help_s": ...,
"first_measurement_s": ..., "worker_s": ..., "tvm_worker_s": ..., "worker_ratio": ...}``, medians of
several runs, seconds of wall clock.
"""

from __future__ import annotations

import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from balto.workers.tvm_setup import import_tvm
from balto.workers.worker import Worker

RUNS = 3
OPERATOR = "matmul:256x256x256"


def help_s() -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "balto", "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def first_measurement_s() -> float:
    """Start a campaign, and watch its journal for the first measurement."""
    with tempfile.TemporaryDirectory() as folder:
        work_dir = Path(folder) / "work"
        command = [sys.executable, "-m", "balto", "pretrain", str(work_dir)]
        started = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--operator", OPERATOR, "--programs", "64"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            journal = work_dir / "journal.jsonl"
            while not (journal.exists() and b'"measurement"' in journal.read_bytes()):
                if process.poll() is not None:
                    raise SystemExit(f"the campaign ended with {process.returncode}")
                time.sleep(0.01)
            return time.perf_counter() - started
        finally:
            process.kill()
            process.wait()


def worker_s() -> float:
    """Start a worker as after a crash, when others had been before it, and call it."""
    started = time.perf_counter()
    with Worker() as worker:
        worker.call("startup:has_tvm", deadline_s=60)
        return time.perf_counter() - started


def tvm_worker_s() -> float:
    """The same with TVM's."""
    from tvm.support.popen_pool import PopenWorker

    started = time.perf_counter()
    worker = PopenWorker()
    worker.send(has_tvm)
    worker.recv()
    taken = time.perf_counter() - started
    worker.kill()
    return taken


def has_tvm() -> bool:
    """Runs in a worker, with what building a program needs."""
    importlib.import_module("tvm.s_tir.meta_schedule")
    return True


def main() -> None:
    import_tvm()
    times: dict[str, list[float]] = {}
    worker_s()  # the first one starts what the others are forked from
    for run in range(RUNS):
        for measure in (help_s, first_measurement_s, worker_s, tvm_worker_s):
            times.setdefault(measure.__name__, []).append(measure())
        print(f"run {run + 1}: {', '.join(f'{n} {t[-1]:.3f}' for n, t in times.items())}")
    result = {name: round(statistics.median(taken), 3) for name, taken in times.items()}
    ratio = statistics.median(times["tvm_worker_s"]) / statistics.median(times["worker_s"])
    print(json.dumps({**result, "worker_ratio": round(ratio, 1)}))


if __name__ == "__main__":
    main()

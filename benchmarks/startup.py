"""How long a person waits: ``balto --help``, and a campaign's first measured program.

Prints one JSON object; its last line is ``{"help_s": ..., "first_measurement_s": ...}``, medians of
several runs, seconds of wall clock from the start of the process.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

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


def main() -> None:
    helps, firsts = [], []
    for run in range(RUNS):
        helps.append(help_s())
        firsts.append(first_measurement_s())
        print(f"run {run + 1}: --help {helps[-1]:.2f} s, first measurement {firsts[-1]:.2f} s")
    result = {
        "help_s": round(statistics.median(helps), 3),
        "first_measurement_s": round(statistics.median(firsts), 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()

"""Memory at TenSet's scale: train on hundreds of thousands of programs, predict for millions.

    python benchmarks/memory.py [--train 430000] [--predict 8600000] [--model xgb]

Writes made-up features of that many programs of four stores to a temporary folder (--folder),
trains in one process and predicts from the memory-mapped file in another, and prints what each
took: seconds, and peak RSS in GiB, which counts resident pages of the mapped file too. The last
line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from balto.data.features import STORE, Features, FeatureTable

STORES = 4
BLOCK = 50_000  # rows written at a time
GIB = 2**30


def write(folder: Path, programs: int) -> None:
    """Rows like real ones: a few hundred distinct values a column, most of them small."""
    rng = np.random.default_rng(0)
    shape = (programs * STORES, STORE.width)
    rows = np.lib.format.open_memmap(folder / "rows.npy", "w+", np.float32, shape)
    values = np.log2(1 + np.arange(256, dtype=np.float32) ** 2)
    for start in range(0, len(rows), BLOCK):
        block = rows[start : start + BLOCK]
        block[:] = values[rng.integers(0, 256, block.shape, dtype=np.uint8)]
    rows.flush()


def mapped(folder: Path, programs: int) -> FeatureTable:
    rows = np.load(folder / "rows.npy", mmap_mode="r")
    offsets = np.arange(0, programs * STORES + 1, STORES, dtype=np.int64)
    return FeatureTable({STORE.name: Features(rows[: programs * STORES], offsets)})


def peak_rss_gib() -> float:
    """Peak RSS of this process. Not `ru_maxrss`, which a process inherits from its parent."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024 / GIB
    raise RuntimeError("this benchmark needs Linux's /proc")


def train(folder: Path, programs: int, model_name: str) -> dict[str, float]:
    from balto.models import create, save

    features = mapped(folder, programs)
    rng = np.random.default_rng(1)
    y = np.clip(
        np.exp(-features[STORE.name].rows[::STORES, 5] / 8) + rng.normal(0, 0.02, programs), 0.01, 1
    )
    task = (np.arange(programs) * 2307 // programs).astype(np.int32)
    model = create(model_name)
    started = time.perf_counter()
    model.fit(features, y, task)
    seconds = time.perf_counter() - started
    save(model, folder / "model.balto", {"programs": programs})
    return {"seconds": seconds}


def predict(folder: Path, programs: int) -> dict[str, float]:
    from balto.models import load

    features = mapped(folder, programs)
    model, _ = load(folder / "model.balto")
    started = time.perf_counter()
    scores = model.predict(features)
    assert len(scores) == programs
    return {"seconds": time.perf_counter() - started}


def step(which: str, folder: Path, programs: int, model: str) -> dict[str, float]:
    """Run one step in a process of its own, so that its peak is its own."""
    command = [sys.executable, __file__, "--step", which, "--folder", str(folder)]
    command += [f"--{which}", str(programs), "--model", model]
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(out.splitlines()[-1])
    print(
        f"{which} {programs:,} programs of {STORES} stores: {result['seconds']:.1f} s, "
        f"peak RSS {result['peak_rss_gib']:.2f} GiB",
        flush=True,
    )
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=int, default=430_000, help="programs to train on")
    parser.add_argument("--predict", type=int, default=8_600_000, help="programs to predict")
    parser.add_argument("--model", default="xgb")
    parser.add_argument("--folder", type=Path, help="where to write the features")
    parser.add_argument("--step", choices=["train", "predict"], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        result = (
            train(args.folder, args.train, args.model)
            if args.step == "train"
            else predict(args.folder, args.predict)
        )
        print(json.dumps({**result, "peak_rss_gib": peak_rss_gib()}))
        return
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        write(folder, max(args.train, args.predict))
        both = {
            "train": {"programs": args.train, **step("train", folder, args.train, args.model)},
            "predict": {
                "programs": args.predict,
                **step("predict", folder, args.predict, args.model),
            },
        }
    print(json.dumps(both))


if __name__ == "__main__":
    main()

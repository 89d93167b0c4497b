"""What the experiments about tuning share: models of a pool, searches, rows that are kept, figures.

Every search is a row of ``rows.jsonl`` in the output folder: a script that is interrupted goes on
from there, and one that is run again draws without measuring.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import pyarrow as pa
import pyarrow.parquet as pq
from _study import Parser, count

import balto
from balto.measure.live import LiveMeasurer
from balto.metaschedule.stock import stock_search
from balto.search.session import Session

ROOT = Path(__file__).resolve().parent.parent
#: The searches that a figure compares: name -> selector of the model's training, its budget.
MODELS = {"trained on all": ("full", 1.0), "BALTO 5 %": ("balto", 0.05)}
SCRATCH = "from scratch"
COLOURS = ("#e08a00", "#2b9a66", "#0b6bcb", "#8e4ec6", "#5b6775", "#c0392b", "#16a085", "#16202c")

Row = dict[str, Any]


def arguments(doc: str | None, out: str) -> argparse.ArgumentParser:
    """The options that every script has."""
    parser = Parser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scale", choices=("small", "paper"), default="small")
    parser.add_argument("--pool", type=Path, default=ROOT / "pools" / "epyc-avx2")
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--seeds", type=count, default=1)
    return parser


class Rows:
    """Rows by key, kept in a file; a row that is there is not made again."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / "rows.jsonl"
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        whole = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]
        # A last line that a killed script left torn goes.
        self._path.write_text("".join(whole), encoding="utf-8")
        rows = [json.loads(line) for line in whole]
        self._rows: dict[str, Row] = {json.dumps(row["of"]): row for row in rows}

    def get(self, of: Sequence[Any], make: Callable[[], Row]) -> Row:
        """The row of a key, made if it is not there."""
        key = json.dumps(list(of))
        if key not in self._rows:
            row = self._rows[key] = {"of": list(of), **make()}
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
            latency_s = [s for s in row.get("latency_s", []) if s]
            best = [f"{min(latency_s) * 1e6:,.1f} us"] if latency_s else []
            print(*of, f"{row['seconds']:.0f} s", *best, flush=True)
        return self._rows[key]


def model_of(folder: Path, pool: Path, name: str, selector: str, budget: float) -> Row:
    """A model of a share of a pool's labels, in ``folder/models``: path, and seconds it cost.

    The seconds are those of measuring the labels, as the pool records them, and of training.
    """
    path = folder / "models" / f"{name.replace(' ', '-').replace('%', 'percent')}.balto"
    path.parent.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    result = balto.replay(
        balto.read_pool(pool), selector=selector, budget=budget, rounds=15, test_share=0.0
    )
    learning = time.perf_counter() - began
    balto.save_model(result.model, path, {"by": "experiments", "selector": selector})
    return {
        "path": str(path),
        "measurements": result.measurements,
        "seconds": result.seconds + learning,
        "measuring_s": result.seconds,
        "learning_s": learning,
    }


def ours(task: balto.Task, model: str, trials: int, seed: int) -> Row:
    """Our search with a model file: latency of every trial (null: failed), and seconds."""
    began = time.perf_counter()
    with LiveMeasurer.for_target(task.target) as measurer:
        session = Session(measurer, balto.load_model(model)[0], seed=seed)
        tuned = session.tune(task, trials)
        session.close()
    latency_s = [o.latency_median_s if o.ok else None for _, o in tuned.programs]
    return {"latency_s": latency_s, "seconds": time.perf_counter() - began}


def scratch(task: balto.Task, trials: int, seed: int) -> Row:
    """MetaSchedule's search with its model from scratch, given our builder and runner."""
    began = time.perf_counter()
    found = stock_search(task, trials, seed)
    latency_s = [s if s == s else None for s in found.latency_s]
    return {"latency_s": latency_s, "seconds": time.perf_counter() - began}


def task_of(operator: str, pool: Path) -> balto.Task:
    """An operator's task, for the target that the pool was recorded on."""
    target = balto.read_pool(pool).tasks[0].target
    return balto.extract_tasks([], [operator], target).tasks[0]


def best(row: Row) -> float:
    """Smallest latency of a search, seconds."""
    return min(float(s) for s in row["latency_s"] if s)


def publish(folder: Path, name: str, figure: Any, rows: Sequence[Row]) -> None:
    """Write ``name.png``, and its numbers as ``name.parquet``."""
    figure.savefig(folder / f"{name}.png", dpi=150, bbox_inches="tight")
    plt.close(figure)
    pq.write_table(pa.Table.from_pylist(list(rows)), folder / f"{name}.parquet")
    print(folder / f"{name}.png")

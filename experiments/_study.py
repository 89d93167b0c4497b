"""Replays of recorded pools, kept as Parquet: what every script here is made of.

The rows of each go into a file of their own, ``OUT/runs/<key of the cell>.parquet``, so a study
that was interrupted goes on where it stopped, scripts that need the same replays share them, and
shards (``--shard 2/4``) merge by writing into one folder, or by copying their ``runs`` folders
together.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from _replay import VALUES, Cell, Networks, Run, replay

from balto.cli import raises_again
from balto.data.files import make_folder, reading, write_atomically
from balto.errors import BaltoError, InputError

POOLS = Path(__file__).resolve().parents[1] / "pools"
#: What the evidence is made from unless ``--pool`` names others: random programs, few operators
#: and whole networks, for three instruction sets.
EVIDENCE = ("epyc-avx2", "epyc-avx512", "epyc-sse")
INTERRUPTED = 130


def save(cell: Cell, run: Run, path: Path) -> None:
    """One row a round: what the cell is, what was spent, and a list over the tasks a value."""
    rounds = len(run.share)
    columns: dict[str, Any] = {
        name: [json.dumps(v) if isinstance(v, tuple) else v] * rounds
        for name, v in {**asdict(cell), "pool": Path(cell.pool).name}.items()
    }
    columns |= {"round": list(range(1, rounds + 1)), "share": run.share}
    columns |= {"measurements": run.measurements, "measuring_s": run.seconds}
    columns |= {"task": [run.tasks] * rounds, "weight": [run.weight.tolist()] * rounds}
    columns |= {name: run.values[name].tolist() for name in VALUES}
    columns |= {"labels": run.labels, "label_tasks": run.label_tasks}
    make_folder(path.parent)
    with write_atomically(path) as partial:
        pq.write_table(pa.table(columns), partial)


def load(path: Path) -> Run:
    """The inverse of `save`."""
    with reading(path, InputError, "delete it, then run the same command again"):
        table = pq.read_table(path)
        column = {name: table[name].to_pylist() for name in table.column_names}
        return Run(
            tasks=column["task"][0],
            weight=np.array(column["weight"][0]),
            share=np.array(column["share"]),
            measurements=np.array(column["measurements"]),
            seconds=np.array(column["measuring_s"]),
            values={name: np.array(column[name], dtype=float) for name in VALUES},
            labels=column["labels"],
            label_tasks=column["label_tasks"],
        )


class Parser(argparse.ArgumentParser):
    """What is wrong with the options is one line, as what is wrong with files is."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; --help says more")


def arguments(description: str | None, seeds: int = 5) -> argparse.ArgumentParser:
    """The options that every script has; the pools are those of the evidence."""
    parser = Parser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    pools = [str(POOLS / name) for name in EVIDENCE]
    said = f"recorded pools; default: {' '.join(EVIDENCE)}"
    parser.add_argument("--pool", nargs="+", default=pools, help=said)
    parser.add_argument("--seeds", type=count, default=seeds, help="seeds 0 .. K-1")
    parser.add_argument("--scale", choices=("small", "full"), default="full")
    parser.add_argument("--shard", default="1/1", help="i/n: run the i-th of n parts")
    parser.add_argument("--out", type=Path, default=Path("out"), help="where results are kept")
    return parser


def count(text: str) -> int:
    """A whole number from 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1, got {text!r}")
    return int(text)


def run_all(
    cells: Sequence[Cell], options: argparse.Namespace, networks: Networks | None = None
) -> dict[Cell, Run] | None:
    """Run what is missing of this shard's cells; None while other shards' are missing."""
    networks = networks or Networks(options.out)
    paths = {cell: options.out / "runs" / f"{cell.key}.parquet" for cell in cells}
    one = list(dict.fromkeys(paths.values()))
    number, shards = shard(options.shard)
    mine = set(one[number - 1 :: shards])
    todo = {path: cell for cell, path in paths.items() if path in mine and not path.exists()}
    started = time.perf_counter()
    for done, (path, cell) in enumerate(todo.items()):
        took = time.perf_counter() - started
        left = f", about {took / done * (len(todo) - done):.0f} s left" if done else ""
        print(
            f"\r{done}/{len(todo)} {cell.scheme} {cell.model} seed {cell.seed}{left:30s}",
            end="",
            file=sys.stderr,
            flush=True,
        )
        save(cell, replay(cell, networks), path)
    if todo:
        took = time.perf_counter() - started
        print(f"\r{len(todo)} replays, {took:.0f} s{'':40s}", file=sys.stderr)
    missing = sum(not path.exists() for path in one)
    if missing:
        print(f"{missing} of {len(one)} replays are missing: run the other shards, then this again")
        return None
    return {cell: load(path) for cell, path in paths.items()}


def shard(text: str) -> tuple[int, int]:
    """``i/n`` as two numbers."""
    number, slash, parts = text.partition("/")
    if not (slash and number.isdigit() and parts.isdigit() and 1 <= int(number) <= int(parts)):
        raise InputError(f"expected a shard such as 1/4, got {text!r}")
    return int(number), int(parts)


def merged(cells: Iterable[Cell], out: Path, name: str) -> Path:
    """All rows of some cells as one Parquet file, ``OUT/NAME.parquet``."""
    paths = sorted({out / "runs" / f"{cell.key}.parquet" for cell in cells})
    path = out / f"{name}.parquet"
    with write_atomically(path) as partial:
        pq.write_table(
            pa.concat_tables(map(pq.read_table, paths), promote_options="default"), partial
        )
    return path


def main(script: Callable[[], None]) -> None:
    """Run a script: what is wrong with its input is one line, exit code 2; so is Ctrl-C, 130."""
    name = Path(sys.argv[0]).name
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is to be ignored
        signal.signal(signal.SIGINT, raises_again(KeyboardInterrupt))
    try:
        script()
    except BaltoError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
        print(f"\n{name}: interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(INTERRUPTED)

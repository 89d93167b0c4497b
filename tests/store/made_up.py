"""Tasks, programs and writers that are made up; what they write is real."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from balto.data.outcome import Outcome, Status
from balto.data.target import Target
from balto.data.task import Task
from balto.store.entry import Place
from balto.store.folder import Store
from balto.store.identity import Identity
from balto.store.writer import Writer, place_of

TARGET = Target.from_dict({"kind": "llvm", "mcpu": "znver3", "num-cores": 1})


def task(name: str = "matmul", device: str = "AMD EPYC, 1 core") -> Task:
    return Task(name, "matmul", "[8, 8, 8]", 1, TARGET, device, 1024.0, '{"module": "made up"}')


def identity(number: int = 0, family: int = 0, extents: tuple[int, ...] = (8, 8, 8)) -> Identity:
    return Identity(f"{family:016x}", f"{number:016x}", extents)


def trace(number: int) -> str:
    instructions = [["SamplePerfectTile", ["l0"], [2, 16], ["v0", "v1"]]]
    return json.dumps([instructions, [[0, [number, 8]]]])


def outcome(seconds: float) -> Outcome:
    return Outcome(Status.OK, seconds, seconds, 0.5, 0.25, 3, 0.01)


def place(of: Task | None = None) -> Place:
    return place_of(of or task(), "live")


def complain(line: str) -> None:
    raise AssertionError(line)


def writer(store: Store, *identities: Identity, names: tuple[str, ...] = ("matmul",)) -> Writer:
    known = dict(zip(names, identities or (identity(),), strict=True))
    return Writer(store, known, "live", complain)


def filled(path: Path, programs: int = 3, of: Task | None = None) -> Store:
    """A store with one finished entry of so many programs."""
    store = Store.open(path, write=True)
    written = writer(store)
    for number in range(programs):
        written.trial(of or task(), trace(number), outcome(1e-3 * (number + 1)))
    written.finished(of or task(), dry=False)
    written.close()
    return store


def main() -> None:
    """A writer that writes until it is killed, and says how many programs it has written."""
    path, name = sys.argv[1:]
    written = writer(Store.open(path, write=True))
    for number in range(100_000):
        written.trial(task(), trace(number + 1_000_000 * int(name)), outcome(1e-3))
        print(number + 1, flush=True)
        time.sleep(0.0005)


if __name__ == "__main__":
    main()

"""Progress of long work: live bars with an ETA on a terminal, plain lines now and then elsewhere.

Both go to stderr, so that stdout stays one JSON object or table.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Self

from balto.text import printable
from balto.units import seconds

#: Seconds between two plain lines about the same work.
EVERY_S = 10.0


@dataclass
class _Work:
    unit: str
    total: int | None
    done: int = 0
    started: float = field(default_factory=time.monotonic)
    said: float = field(default_factory=time.monotonic)
    bar: Any = None

    @property
    def rate(self) -> float:
        return self.done / max(time.monotonic() - self.started, 1e-9)


class Progress:
    """Counts steps of one or more kinds of work; close it at the end."""

    def __init__(self) -> None:
        self._works: dict[str, _Work] = {}
        self._live = _live_bars() if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def begin(self, what: str, total: int | None, unit: str) -> None:
        """Announce `total` steps still to do; steps already counted stay counted."""
        work = self._works.setdefault(what, _Work(unit, None))
        work.total = None if total is None else work.done + total
        if self._live is not None:
            if work.bar is None:
                work.bar = self._live.add_task(what, total=work.total, note="", rate="")
            self._live.update(work.bar, total=work.total)

    def advance(self, what: str, note: str = "", unit: str = "program") -> None:
        """One step more."""
        if what not in self._works:
            self.begin(what, None, unit)
        work = self._works[what]
        work.done += 1
        if self._live is not None:
            rate = f"{work.rate:.1f} {work.unit}s/s"
            self._live.update(work.bar, completed=work.done, note=note, rate=rate)
            return
        now = time.monotonic()
        if now - work.said >= EVERY_S or work.done == work.total:
            work.said = now
            self.say(self._line(what, work, note))

    def say(self, line: str) -> None:
        """Print a line above the bars."""
        line = printable(line)
        if self._live is not None:
            self._live.console.print(line, highlight=False, markup=False, emoji=False)
        else:
            print(line, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Stop drawing."""
        if self._live is not None:
            self._live.stop()

    @staticmethod
    def _line(what: str, work: _Work, note: str) -> str:
        of = f" of {work.total}" if work.total is not None else ""
        eta = ""
        if work.total is not None and work.done < work.total:
            eta = f", ETA {_whole((work.total - work.done) / work.rate)}"
        tail = f", {note}" if note else ""
        return f"{what}: {work.done}{of} {work.unit}s, {work.rate:.1f}/s{eta}{tail}"


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Say on stderr, now and then, that work of unknown length goes on."""
    started, done = time.monotonic(), threading.Event()

    def tell() -> None:
        while not done.wait(EVERY_S):
            print(f"{what}: {_whole(time.monotonic() - started)}", file=sys.stderr, flush=True)

    teller = threading.Thread(target=tell, name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _whole(duration_s: float) -> str:
    return seconds(max(1.0, round(duration_s)))


def _live_bars() -> Any:
    from rich import progress
    from rich.console import Console

    text = partial(progress.TextColumn, markup=False)
    bars = progress.Progress(
        text("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        text("{task.fields[rate]}"),
        progress.TimeElapsedColumn(),
        text("ETA"),
        progress.TimeRemainingColumn(),
        text("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    bars.start()
    return bars

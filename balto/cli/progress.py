"""Progress of long work: a live bar with an ETA on a terminal, a plain line now and then elsewhere.

Both go to stderr, so that stdout stays one JSON object or table.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds between two plain lines.
EVERY_S = 10.0

Advance = Callable[..., None]


@contextmanager
def progress(what: str, total: int, *, unit: str) -> Iterator[Advance]:
    """Give a function to call after each finished step: ``advance(steps=1, note="")``."""
    if sys.stderr.isatty():
        yield from _live(what, total, unit)
    else:
        yield from _plain(what, total, unit)


def _live(what: str, total: int, unit: str) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(f"{unit}s, {{task.fields[rate]}}"),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=Console(stderr=True),
    )
    started = time.monotonic()
    done = 0
    with bar:
        task = bar.add_task(what, total=total, note="", rate="")

        def advance(steps: int = 1, note: str = "") -> None:
            nonlocal done
            done += steps
            rate = done / max(time.monotonic() - started, 1e-9)
            bar.update(task, advance=steps, note=note, rate=f"{rate:.2f}/s")

        yield advance


def _plain(what: str, total: int, unit: str) -> Iterator[Advance]:
    started = last = time.monotonic()
    done = 0

    def advance(steps: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last < EVERY_S:
            return
        last = now
        rate = done / (now - started)
        eta = (total - done) / rate if rate else float("nan")
        tail = f", {note}" if note else ""
        print(
            f"{what}: {done} of {total} {unit}s, {rate:.2f}/s, ETA {eta:.0f} s{tail}",
            file=sys.stderr,
            flush=True,
        )

    yield advance

"""What is in stores: by task and place, for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from balto.errors import InputError
from balto.store.entry import Entry, Head
from balto.store.folder import Store
from balto.store.known import known_of, merged
from balto.text import quoted


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one place knows of a task.

    Attributes:
        head: of the newest entry.
        entries: how many files it lies in.
        trials: programs that were measured.
        failed: how many of them did not work.
        untuned_s: latency of the untuned program, seconds; NaN where it is not known.
        best_s: of the fastest one, seconds; NaN where none worked.
        finished: whether the newest entry's writer came to its end.
        checked: by what the fastest one was found right: ``untuned``, ``network``.
    """

    head: Head
    entries: int
    trials: int
    failed: int
    untuned_s: float
    best_s: float
    finished: bool
    checked: Sequence[str]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        place = {**vars(self.head.place), "target": json.loads(self.head.place.target)}
        about = {name: getattr(self.head, name) for name in ("name", "balto", "host", "at")}
        rest = {name: value for name, value in vars(self).items() if name != "head"}
        return {"key": self.head.identity.key, **about, **place, **rest}


def rows(stores: Sequence[Store]) -> Iterator[Row]:
    """A row for each task and place, the tasks in the order of their digests."""
    paths = sorted(
        ((path.parts[-3:-1], store, path) for store in stores for path in store.files()),
        key=lambda each: each[0],
    )
    some: list[Entry] = []
    task: object = None
    for of, store, path in paths:
        if of != task:
            yield from _rows(some)
            task, some = of, []
        if (entry := store.entry(path)) is not None:
            some.append(entry)
    yield from _rows(some)


def find(stores: Sequence[Store], task: str) -> list[Row]:
    """The rows of a task, by its name or the beginning of its key.

    Raises:
        InputError: If no task is called so.
    """
    found = [
        row
        for row in rows(stores)
        if row.head.name == task or (task and row.head.identity.key.startswith(task))
    ]
    if not found:
        raise InputError(
            f"expected a task of the store, got {quoted(task)}; balto store list names them"
        )
    return found


def _rows(entries: Sequence[Entry]) -> Iterator[Row]:
    places: dict[object, list[Entry]] = {}
    for entry in sorted(entries, key=lambda each: each.head.at):
        places.setdefault(entry.head.place, []).append(entry)
    for some in places.values():
        known, programs = known_of(some[-1].head.place, some, []), merged(some)
        fastest = known.fastest()[:1]
        untuned = [o.latency_median_s for o in known.programs.get("", ()) if o.ok]
        errors = programs[fastest[0][0]].errors if fastest else {}
        yield Row(
            head=some[-1].head,
            entries=len(some),
            trials=len(known.trials),
            failed=sum(not outcome.ok for outcome in known.trials.values()),
            untuned_s=min(untuned, default=math.nan),
            best_s=fastest[0][1] if fastest else math.nan,
            finished=some[-1].finished,
            checked=[against for against, error in errors.items() if error <= 1],
        )

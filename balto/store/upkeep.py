"""Write the entries of a store anew: several of one task as one, without what is not wanted."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

from balto.data.files import fsync_folder, write_atomically
from balto.journal.file import encode_all
from balto.store.entry import Entry
from balto.store.folder import Store
from balto.store.known import Known, merged

#: What stays of an entry; None if nothing does.
Keep = Callable[[Entry], Entry | None]


@dataclass(frozen=True)
class Upkeep:
    """What was done.

    Attributes:
        files: how many there were and are now; those in use are left alone, and not counted.
        programs: how many there were and are now.
    """

    files: tuple[int, int]
    programs: tuple[int, int]


def rewrite(store: Store, keep: Keep = lambda entry: entry) -> Upkeep:
    """Make the entries of each task, place and computer one file; killed at any time, all is there.

    A new file is on the disk before the old ones go; in between, every fact lies in both, and
    readers take each once.

    Args:
        store: to write to.
        keep: says what stays.

    Raises:
        StorageError: If a file cannot be written.
    """
    counts = [0, 0, 0, 0]
    for _, files in groupby(list(store.files()), key=lambda path: path.parent):
        with ExitStack() as locks:
            free = [path for path in files if locks.enter_context(_held(path))]
            for some in _by_place([(path, store.entry(path)) for path in free]):
                before = _joined([entry for _, entry in some])
                after = keep(before)
                counts[0] += len(some)
                counts[1] += after is not None
                counts[2] += before.trials
                counts[3] += after.trials if after is not None else 0
                if len(some) > 1 or after != before:
                    _replace(store, [path for path, _ in some], after)
    return Upkeep((counts[0], counts[1]), (counts[2], counts[3]))


def fastest(count: int) -> Keep:
    """Keeps so many programs of each task, the fastest, and the untuned one."""

    def keep(entry: Entry) -> Entry:
        known = Known(programs={trace: p.outcomes for trace, p in entry.programs.items()})
        kept = {"", *(trace for trace, _ in known.fastest()[:count])}
        return replace(entry, programs={t: p for t, p in entry.programs.items() if t in kept})

    return keep


def newer_than(at_s: float) -> Keep:
    """Keeps entries in which something was measured later, seconds since 1970."""

    def keep(entry: Entry) -> Entry | None:
        return entry if entry.last > at_s else None

    return keep


@contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Whether nobody writes to a file; then nobody does while this is open."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)


def _by_place(
    found: Sequence[tuple[Path, Entry | None]],
) -> Iterator[list[tuple[Path, Entry]]]:
    """Files of one place and computer each, the oldest first; damaged ones stay as they are."""
    places: dict[object, list[tuple[Path, Entry]]] = {}
    for path, entry in found:
        if entry is not None:
            places.setdefault((entry.head.place, entry.head.host), []).append((path, entry))
    for some in places.values():
        yield sorted(some, key=lambda each: each[1].head.at)


def _joined(entries: Sequence[Entry]) -> Entry:
    last = entries[-1]
    return Entry(
        head=last.head,
        module=next((each.module for each in entries if each.module), ""),
        programs=merged(entries),
        finished=last.finished,
        dry=any(each.dry for each in entries),
    )


def _replace(store: Store, old: Sequence[Path], entry: Entry | None) -> None:
    if entry is not None:
        with write_atomically(store.new_file(entry.head.identity)) as partial:
            partial.write_bytes(encode_all(entry.records()))
    for path in old:
        path.unlink()
    fsync_folder(old[0].parent)
    if entry is None:
        with contextlib.suppress(OSError):  # other places are there
            old[0].parent.rmdir()

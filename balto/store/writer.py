"""What writes to a store while a tuning runs: one file a task, made at its first measurement."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from balto.data.outcome import Outcome
from balto.data.task import Task
from balto.data.versions import version_of
from balto.errors import BaltoError, CampaignLocked
from balto.journal.file import Journal
from balto.store.entry import (
    FINISHED,
    Head,
    Place,
    checked_record,
    module_record,
    trial_record,
)
from balto.store.folder import Store
from balto.store.identity import Identity
from balto.text import one_line

#: A file longer than this is followed by another one, bytes.
ROLL = 4 << 20


def place_of(task: Task, measurer: str) -> Place:
    """What measures a task here."""
    target, tvm = task.target.to_json(), version_of("apache-tvm") or ""
    return Place(target=target, device=task.device, tvm=tvm, measurer=measurer)


class Writer:
    """Writes what one process measures. A store that cannot be written to stops no tuning.

    Args:
        store: to write to.
        identities: of the tasks, by their names.
        measurer: name of what measures.
        trouble: is told, once, why nothing more is written.
    """

    def __init__(
        self,
        store: Store,
        identities: Mapping[str, Identity],
        measurer: str,
        trouble: Callable[[str], None],
    ) -> None:
        self._store, self._identities = store, identities
        self._measurer, self._trouble = measurer, trouble
        self._files: dict[str, Path] = {}
        self._open: tuple[str, Journal] | None = None
        self._checked: set[tuple[str, str, str]] = set()
        self._broken = False

    def trial(self, task: Task, trace: str, outcome: Outcome) -> None:
        """A program was measured, for the first time or again."""
        self._append(task, trial_record(trace, outcome, time.time()))

    def checked(self, task: Task, trace: str, error: float, against: str) -> None:
        """A program was compared with the ``untuned`` one, or in a ``network``."""
        if (task.name, trace, against) not in self._checked:
            self.knows(task, trace, against)
            self._append(task, checked_record(trace, error, against))

    def knows(self, task: Task, trace: str, against: str) -> None:
        """A store has this check already: it is not written again."""
        self._checked.add((task.name, trace, against))

    def finished(self, task: Task, dry: bool) -> None:
        """No more of this task is measured here; `dry` says that there was no more to measure."""
        if task.name in self._files:
            self._append(task, {"kind": FINISHED, "dry": dry})

    def close(self) -> None:
        """Bring all to the disk."""
        if self._open is not None:
            journal, self._open = self._open[1], None
            self._guarded(journal.close)

    def _append(self, task: Task, record: Mapping[str, Any]) -> None:
        self._guarded(lambda: self._journal(task).append(record))

    def _guarded(self, write: Callable[[], None]) -> None:
        if self._broken:
            return
        try:
            write()
        except (BaltoError, OSError) as error:
            self._broken = True
            self._trouble(f"nothing more is written to the store: {one_line(error)}")
            self.close()

    def _journal(self, task: Task) -> Journal:
        """The file of a task, the only one that is open; it begins with the task and its module."""
        if self._open is not None:
            name, journal = self._open
            if name == task.name and journal.path.stat().st_size < ROLL:
                return journal
            self.close()
            if name == task.name:
                del self._files[name]
        journal = self._opened(task)
        self._open = task.name, journal
        if not journal.path.stat().st_size:
            journal.append(self._head(task).to_record())
            journal.append(module_record(task.require_module()))
        return journal

    def _opened(self, task: Task) -> Journal:
        new = self._store.new_file(self._identities[task.name])
        path = self._files.setdefault(task.name, new)
        try:
            return Journal.open(path)
        except CampaignLocked:  # somebody makes one file of this and others
            self._files[task.name] = new = self._store.new_file(self._identities[task.name])
            return Journal.open(new)

    def _head(self, task: Task) -> Head:
        return Head(
            identity=self._identities[task.name],
            **{name: getattr(task, name) for name in ("name", "op", "args", "flop")},
            place=place_of(task, self._measurer),
            balto=version_of("balto") or "",
            host=socket.gethostname(),
            at=time.time(),
        )

"""The stores that a tuning reads, one behind the other; it writes to the first of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from balto.data.files import as_path
from balto.errors import InputError, StorageError
from balto.store.entry import Entry, Place, Program
from balto.store.folder import Store
from balto.store.identity import Identity
from balto.store.known import Known, known_of, merged, nearest, relative_of
from balto.text import one_line

#: A person's own store; and none at all.
OWN, NONE = "own", "none"
#: Names the store that is `OWN`, or is ``none``.
VARIABLE = "BALTO_STORE"

#: What is given for stores: ``own``, ``none`` or folders, the first of which is written to.
Given = str | Path | Sequence[str | Path] | None


def own_folder() -> Path | None:
    """Where a person's own store is: ``$BALTO_STORE``, or in their data; None for none."""
    said = os.environ.get(VARIABLE, "")
    if said == NONE:
        return None
    if said:
        return Path(said).expanduser()
    data = os.environ.get("XDG_DATA_HOME", "")
    # As the standard of that variable has it, a relative one is ignored.
    base = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
    return base / "balto" / "store"


@dataclass
class Stores:
    """Stores, read one behind the other.

    Attributes:
        stores: none, or the one that is written to and those behind it.
        notes: why a person's own store is not used, if it cannot be.
    """

    stores: list[Store] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @classmethod
    def open(cls, given: Given) -> Stores:
        """Open what was given; a person's own store, if that is all, may be missing.

        Raises:
            InputError: If a folder is no store, ``none`` is one of several, or one comes twice.
            StorageError: If the first one cannot be made.
        """
        names = [given] if given is None or isinstance(given, str | os.PathLike) else list(given)
        if names in ([], [None], [NONE]):
            return cls()
        if NONE in names or None in names:
            raise InputError("expected stores, or none alone; got none among several")
        folders = [_folder(each) for each in names]
        paths = [path for path in folders if path is not None]
        if len({os.path.realpath(path) for path in paths}) < len(paths):
            raise InputError(f"expected different stores, {paths[0]} comes twice")
        if folders[0] is None and len(folders) > 1:
            raise InputError(f"{VARIABLE} is none, so that there is no own store to write to")
        try:
            opened = [Store.open(path, write=k == 0) for k, path in enumerate(paths)]
        except (InputError, StorageError, OSError) as error:
            if names != [OWN]:
                raise
            return cls(notes=[f"no store is used: {one_line(error)}"])
        return cls(opened)

    @property
    def troubles(self) -> list[str]:
        """What was left alone since it is damaged, one line each."""
        return [line for store in self.stores for line in store.troubles.values()]

    def known(self, identity: Identity, place: Place) -> Known:
        """What is known of a task, to somebody who measures at a place."""
        tasks = self._nearest(identity, place)
        found = [relative_of(place, each, self.entries(each)) for each in tasks]
        relatives = [each for each in found if each is not None]
        return known_of(place, self.entries(identity), relatives, socket.gethostname())

    def entries(self, identity: Identity) -> list[Entry]:
        """The entries of a task, the oldest first."""
        found = [entry for store in self.stores for entry in store.entries(identity)]
        return sorted(found, key=lambda each: each.head.at)

    def programs(self, identity: Identity, place: Place) -> Mapping[str, Program]:
        """What one place knows of each program of a task."""
        return merged([each for each in self.entries(identity) if each.head.place == place])

    def _nearest(self, identity: Identity, place: Place) -> list[Identity]:
        """The nearest relatives; those that were measured at the place come first."""
        heads = [head for store in self.stores for head in store.relatives(identity)]
        heads.sort(key=lambda head: (head.place != place, identity.distance(head.identity)))
        return nearest([head.identity for head in heads])


def _folder(given: str | Path | None) -> Path | None:
    return own_folder() if given == OWN else as_path(given)

"""The folder of a store: a file for each task and writer, found by the task's digests alone.

``tasks/FAMILY/KEY/HOST-PID-RANDOM.jsonl``. Nobody writes to a file but the process that made it, so
any number of processes write at once; the names are the index, which cannot be out of date.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from balto.data.files import as_path, make_folder, reading, write_atomically
from balto.errors import CampaignError, InputError, StorageError
from balto.store.entry import FORMAT, SUFFIX, Entry, Head, read_entry, read_head
from balto.store.identity import Identity
from balto.text import one_line

#: In the folder: says that it is a store, and of which format.
MARK = "balto-store"
TASKS = "tasks"
_SAYS = f"format {FORMAT}\n"
#: Bytes in which the first line ends.
_START = 1 << 16
#: Relatives of a task whose first lines are read, at most.
_MOST_RELATIVES = 2000


class Store:
    """One folder of tuned programs. Use `Store.open`.

    Attributes:
        path: the folder.
        troubles: what was left alone since it is damaged, one line each, each once.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.troubles: dict[Path, str] = {}

    @classmethod
    def open(cls, path: str | Path, *, write: bool) -> Store:
        """A store that is there, or, to write to, is made.

        Raises:
            InputError: If the folder holds something else, or, to be read, is not there.
            StorageError: If it cannot be made.
        """
        path = as_path(path)
        mark = path / MARK
        with reading(path, InputError):
            if mark.is_file():
                if (said := mark.read_text(encoding="utf-8")) != _SAYS:
                    raise InputError(
                        f"expected a store of {_SAYS.strip()} in {path}, it says {one_line(said)}: "
                        "use the balto that wrote it"
                    )
                return cls(path)
            if not write:
                raise InputError(f"expected a store, found none in {one_line(path)}")
            if path.exists() and (not path.is_dir() or _others(path)):
                raise InputError(
                    f"{one_line(path)} holds something else; give a store, or a new folder"
                )
        make_folder(path)
        with write_atomically(mark) as partial:
            partial.write_text(_SAYS, encoding="utf-8")
        return cls(path)

    def folder(self, identity: Identity) -> Path:
        """Where the entries of a task lie."""
        return self.path / TASKS / identity.family / identity.key

    def new_file(self, identity: Identity) -> Path:
        """A file that nobody has, in a folder that is there.

        Raises:
            StorageError: If the folder cannot be made.
        """
        folder = self.folder(identity)
        make_folder(folder)
        host = re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname())[:64] or "host"
        return folder / f"{host}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"

    def entries(self, identity: Identity) -> list[Entry]:
        """What is known of a task, the oldest first; damaged files are left alone."""
        found = (self.entry(path) for path in _files(self.folder(identity)))
        return sorted((each for each in found if each is not None), key=lambda each: each.head.at)

    def relatives(self, identity: Identity) -> list[Head]:
        """The same operator with other shapes, the nearest ones first, one head an entry."""
        folders = _folders(self.path / TASKS / identity.family)
        paths = (p for f in folders if f.name != identity.key for p in _files(f))
        heads = [head for path in islice(paths, _MOST_RELATIVES) if (head := self.head(path))]
        return sorted(heads, key=lambda head: (identity.distance(head.identity), head.at))

    def files(self) -> Iterator[Path]:
        """The files of all entries."""
        for family in _folders(self.path / TASKS):
            for task in _folders(family):
                yield from _files(task)

    def head(self, path: Path) -> Head | None:
        """Of which task a file is; None if it is damaged, or gone."""
        try:
            return read_head(path)
        except CampaignError as error:
            self._trouble(path, error)
            return None

    def entry(self, path: Path) -> Entry | None:
        """What a file says; None if it is damaged, or gone."""
        try:
            return read_entry(path)
        except CampaignError as error:
            self._trouble(path, error)
            return None

    def _trouble(self, path: Path, error: CampaignError) -> None:
        # A file without a line was made just now, by a process that lives or was killed.
        start = _start(path)
        if b"\n" in start or len(start) == _START:
            self.troubles.setdefault(path, f"left alone in the store: {one_line(error)}")


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_START)
    except OSError:
        return b""  # gone


def _others(path: Path) -> list[str]:
    """What lies in a folder, without files that somebody is about to rename."""
    return [name for name in os.listdir(path) if not name.startswith(f".{MARK}")]  # noqa: PTH208


def _folders(path: Path) -> list[Path]:
    try:
        return sorted(each for each in path.iterdir() if each.is_dir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _files(path: Path) -> list[Path]:
    try:
        return sorted(each for each in path.iterdir() if each.suffix == SUFFIX)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error

"""A store as one file to hand on: a zip of its entries, with a checksum of each. Nothing is run."""

from __future__ import annotations

import getpass
import hashlib
import json
import re
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from balto.data.files import make_folder, reading, write_atomically
from balto.data.versions import version_of
from balto.errors import CampaignError, InputError
from balto.store.entry import FORMAT, LARGEST_FILE, Entry, read_entry
from balto.store.folder import MARK, Store
from balto.text import one_line

#: The member that says what is in the file, and its bytes at most.
ABOUT, _LARGEST_ABOUT = "about.json", 1 << 28
_MEMBER = re.compile(r"tasks/[0-9a-f]{16}/[0-9a-f]{16}/[A-Za-z0-9._-]{1,200}\.jsonl")
#: So that the same entries give the same file.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass
class Moved:
    """What was exported or imported.

    Attributes:
        about: who made the file when, on what.
        entries: how many were written.
        known: how many were there already.
        tasks: keys of all tasks that came.
        programs: measured ones, of all entries that came.
        left_out: damaged entries, one line each.
    """

    about: dict[str, Any] = field(default_factory=dict)
    entries: int = 0
    known: int = 0
    tasks: set[str] = field(default_factory=set)
    programs: int = 0
    left_out: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        about = {name: value for name, value in self.about.items() if name != "members"}
        return {**vars(self), "about": about, "tasks": len(self.tasks)}


def made_by() -> str:
    """Who makes a file: the user and the computer."""
    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (KeyError, OSError):  # no such user in this container
        return socket.gethostname()


def export(
    store: Store, path: Path, by: str = "", wanted: Callable[[Entry], bool] = lambda _: True
) -> Moved:
    """Write the entries of a store to one file.

    Args:
        store: to read.
        path: of the file.
        by: who makes it; `made_by` if empty.
        wanted: says which entries.

    Raises:
        InputError: If there is no entry.
        StorageError: If the file cannot be written.
    """
    moved = Moved()
    digests: dict[str, str] = {}
    places = set()
    with (
        write_atomically(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for file in store.files():
            entry = store.entry(file)
            if entry is None or not wanted(entry):
                continue
            data = _whole_lines(file)
            name = file.relative_to(store.path).as_posix()
            digests[name] = hashlib.sha256(data).hexdigest()
            packed.writestr(_info(name), data)
            places.add(str(entry.head.place))
            _count(moved, entry)
        moved.entries = len(digests)
        moved.about = {
            "format": FORMAT,
            "made_by": by or made_by(),
            "at": time.time(),
            "balto": version_of("balto") or "",
            "places": sorted(places),
            "tasks": len(moved.tasks),
            "programs": moved.programs,
            "members": digests,
        }
        packed.writestr(_info(ABOUT), json.dumps(moved.about, indent=1))
        if not digests:
            raise InputError(f"the store {store.path} has nothing to export")
    moved.left_out += store.troubles.values()
    return moved


def import_from(store: Store, source: Path) -> Moved:
    """Take the entries of a file that `export` wrote, or of another store.

    Entries that are damaged are left out; what is there already is not written again.

    Raises:
        InputError: If the source is neither.
        StorageError: If an entry cannot be written.
    """
    moved = Moved()
    with reading(source, InputError):
        store_of_somebody = (source / MARK).is_file()
        packed = source.is_file() and zipfile.is_zipfile(source)
    if store_of_somebody:
        members = _of_store(source)
    elif packed:
        moved.about = _about(source)
        members = _of_file(source, moved.about["members"])
    else:
        raise InputError(
            f"expected a store, or a file of balto store export; {one_line(source)} is none"
        )
    with TemporaryDirectory() as folder:
        for name, data in members:
            try:
                if isinstance(data, str):
                    raise CampaignError(data)
                entry = _checked(Path(folder) / name, data)
            except CampaignError as error:
                moved.left_out.append(f"left out: {one_line(error).removeprefix(f'{folder}/')}")
                continue
            _count(moved, entry)
            written = _take(store.path / name, data)
            moved.entries += written
            moved.known += not written
    return moved


def _count(moved: Moved, entry: Entry) -> None:
    moved.tasks.add(entry.head.identity.key)
    moved.programs += entry.trials


def _whole_lines(path: Path) -> bytes:
    data = path.read_bytes()
    return data[: data.rfind(b"\n") + 1]


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def _about(source: Path) -> dict[str, Any]:
    with reading(source, InputError), zipfile.ZipFile(source) as packed:
        about = json.loads(_read(packed, ABOUT, _LARGEST_ABOUT))
        if about["format"] != FORMAT:
            raise InputError(
                f"expected a store of format {FORMAT} in {one_line(source)}, it has "
                f"{one_line(about['format'])}: use the balto that wrote it"
            )
        members = about["members"]
        if not isinstance(members, dict) or not all(map(_MEMBER.fullmatch, members)):
            raise ValueError("it names what is no entry")
        return dict(about)


def _of_file(source: Path, digests: dict[str, str]) -> Iterator[tuple[str, bytes | str]]:
    with zipfile.ZipFile(source) as packed:
        for name, digest in digests.items():
            try:
                data = _read(packed, name, LARGEST_FILE)
                whole = hashlib.sha256(data).hexdigest() == digest
                yield name, data if whole else f"{name}: its checksum does not match"
            except Exception as error:  # zip's own checks, of what may hold anything
                yield name, f"{name}: {one_line(error)}"


def _of_store(source: Path) -> Iterator[tuple[str, bytes | str]]:
    other = Store.open(source, write=False)
    for file in other.files():
        name = file.relative_to(source).as_posix()
        if _MEMBER.fullmatch(name) and file.stat().st_size <= LARGEST_FILE:
            yield name, _whole_lines(file)


def _read(packed: zipfile.ZipFile, name: str, most: int) -> bytes:
    with packed.open(name) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"{name} is longer than {most} bytes")
    return data


def _checked(path: Path, data: bytes) -> Entry:
    """The entry that some bytes are; they are written to a temporary file to be read."""
    make_folder(path.parent)
    path.write_bytes(data)
    try:
        return read_entry(path)
    finally:
        path.unlink()


def _take(path: Path, data: bytes) -> bool:
    """Write an entry, unless as much of it is there."""
    if path.exists() and path.stat().st_size >= len(data):
        return False
    make_folder(path.parent)
    with write_atomically(path) as partial:
        partial.write_bytes(data)
    return True

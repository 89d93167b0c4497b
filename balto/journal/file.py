"""The memory of a campaign or a tuning: an append-only file of records that survives kill -9.

One record a line: eight hexadecimal digits of CRC-32, ``>``, those of the line before, a space, the
record as JSON. The CRC is over all that follows the ``>``, so each line vouches for the one before
it: a line that is missing, doubled, or of another journal is noticed. The first line has eight
random digits in the place of a line before. Journals of before have lines without that part,
``CRC JSON``; they are read, and their new lines are chained to the last one of those.

A process that dies leaves at most an unfinished last line, which readers leave out and the next
writer cuts off.
Records are written at once and fsynced together, at most `MAX_AGE_S` or `MAX_PENDING` later
(group commit): a killed process loses nothing that `append` took, a power cut at most that much.
A journal that has become long is folded into Parquet (`balto.journal.parts`).
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from balto.data.files import fsync_folder, reading, write_atomically
from balto.errors import CampaignError, CampaignLocked, StorageError
from balto.journal import parts
from balto.text import one_line

MAX_AGE_S = 0.5
MAX_PENDING = 64
#: Digits of a checksum; what follows it in a chained line, and in one of before.
_CRC, _CHAINED, _PLAIN = 8, b">", b" "
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC


class Journal:
    """The one writer of a journal. Use `Journal.open`; close it, or use it as a context."""

    def __init__(self, path: Path, descriptor: int, last: bytes) -> None:
        self.path = path
        self._fd = descriptor
        self._last = last  # the CRC of the last line
        self._size = os.fstat(descriptor).st_size
        self._pending = 0
        self._lock = threading.Lock()
        self._wake = threading.Condition(self._lock)
        self._failure: OSError | None = None
        self._closed = False
        self._flusher = threading.Thread(target=self._flush_old, name="journal", daemon=True)
        self._flusher.start()

    @classmethod
    def open(cls, path: str | Path) -> Journal:
        """Open for writing, make it if needed, and cut off a torn tail.

        Args:
            path: of the file.

        Returns:
            The journal, locked.

        Raises:
            CampaignLocked: If another process writes to it.
            CampaignError: If it cannot be opened, or is damaged before its last line.
        """
        path = Path(path)
        descriptor = _open_locked(path)
        try:
            whole, last = 0, os.urandom(4).hex().encode()
            for line, _ in _records(path):
                whole, last = whole + len(line), line[:_CRC]
            if whole < os.fstat(descriptor).st_size:
                os.ftruncate(descriptor, whole)
            os.fsync(descriptor)
            if whole > parts.LIMIT:
                descriptor, last = _fold(path, descriptor, last)
        except BaseException:
            os.close(descriptor)
            raise
        fsync_folder(path.parent)
        return cls(path, descriptor, last)

    def append(self, record: Mapping[str, Any]) -> None:
        """Write one record; it is on the disk after the next `sync`, or `MAX_AGE_S` later.

        Args:
            record: one JSON object.

        Raises:
            StorageError: If the disk is full, or the file was deleted. All earlier records are
                kept.
        """
        with self._lock:
            self._raise_failure()
            line = encode(record, self._last)
            try:
                _write_all(self._fd, line)
            except OSError as error:
                os.ftruncate(self._fd, self._size)
                self._failure = error
                self._raise_failure()
            self._size += len(line)
            self._last = line[:_CRC]
            self._pending += 1
            if self._pending >= MAX_PENDING:
                self._sync()
            elif self._pending == 1:
                self._wake.notify()
            if self._size > parts.LIMIT:
                self._fold()

    def sync(self) -> None:
        """Return when every record is on the disk.

        Raises:
            StorageError: If the disk failed, or the file was deleted.
        """
        with self._lock:
            self._sync()

    def close(self) -> None:
        """Sync, and let the next writer in. May be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake.notify()
            try:
                self._sync()
            finally:
                os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _sync(self) -> None:
        self._raise_failure()
        if self._pending:
            try:
                os.fdatasync(self._fd)
            except OSError as error:
                self._failure = error
                self._raise_failure()
            self._pending = 0

    def _fold(self) -> None:
        self._sync()
        try:
            self._fd, self._last = _fold(self.path, self._fd, self._last)
        except StorageError as error:
            self._failure = error.__cause__ if isinstance(error.__cause__, OSError) else OSError()
            raise
        self._size = os.fstat(self._fd).st_size

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise StorageError(
                f"cannot write to {self.path}: {self._failure.strerror}; everything measured "
                "before is kept: make room, then run the same command again"
            ) from self._failure
        if not self._closed and os.fstat(self._fd).st_nlink == 0:
            raise StorageError(
                f"{self.path} was deleted while this campaign was running: what was measured is "
                "lost; run the same command again to start anew"
            )

    def _flush_old(self) -> None:
        """Sync what has become `MAX_AGE_S` old; a failure is raised by the next call."""
        while True:
            with self._lock:
                while not self._pending and not self._closed:
                    self._wake.wait()
                if self._closed:
                    return
            time.sleep(MAX_AGE_S)
            with self._lock:
                if self._closed or self._failure:
                    return
                try:
                    os.fdatasync(self._fd)
                    self._pending = 0
                except OSError as error:
                    self._failure = error
                    return


def read(path: str | Path) -> Iterator[dict[str, Any]]:
    """Every whole record of a journal, in order; at any time, also while it is written.

    Raises:
        CampaignError: a record is damaged, or there is no such file.
    """
    return (record for _, record in numbered(path))


def numbered(path: str | Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The same, each with where it is, for messages: ``line 7``.

    Raises:
        CampaignError: as `read`.
    """
    path = Path(path)
    for number, record in lines(path):
        if number == 1 and parts.parts_of(record):
            runs = parts.read_parts(path.parent, record)
            folded = (each for run in runs for each in parts.records_of(run))
            yield from ((f"record {k} of the folded part", r) for k, r in enumerate(folded, 1))
        else:
            yield f"line {number}", record


def lines(path: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """The number and record of every whole line; the first one may stand for what was folded.

    Raises:
        CampaignError: as `read`.
    """
    yield from enumerate((record for _, record in _records(Path(path))), start=1)


class Follower:
    """Reads a journal that is being written, again and again, each record once.

    It takes no lock and writes nothing, so that it disturbs nobody.

    Args:
        path: of the journal; it need not be there yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._inode, self._offset, self._lines, self._last = 0, 0, 0, b""

    def new(self) -> tuple[bool, Iterator[tuple[int, dict[str, Any]]]]:
        """Whether the journal began anew (it was folded, or made), and the lines since.

        Each comes with its number, as from `lines`.

        Returns:
            The two.

        Raises:
            CampaignError: If a record is damaged.
        """
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False, iter(())
        anew = now.st_ino != self._inode or now.st_size < self._offset
        if anew:
            self._inode, self._offset, self._lines, self._last = now.st_ino, 0, 0, b""
        return anew, self._read()

    def _read(self) -> Iterator[tuple[int, dict[str, Any]]]:
        before = (self._offset, self._lines, self._last, self._inode)
        for line, record in _records(self.path, *before):
            self._offset += len(line)
            self._lines += 1
            self._last = line[: _CRC + 1]
            yield self._lines, record


def encode(record: Mapping[str, Any], last: bytes = b"0" * 8) -> bytes:
    """One record as its line.

    Args:
        record: for JSON.
        last: the first eight bytes of the line before.
    """
    text = last + b" " + json.dumps(record, separators=(",", ":"), allow_nan=False).encode()
    return b"%08x>%s\n" % (zlib.crc32(text), text)


def encode_all(records: Iterable[Mapping[str, Any]]) -> bytes:
    """A whole journal of records."""
    lines: list[bytes] = []
    for record in records:
        lines.append(encode(record, lines[-1][:_CRC] if lines else b"0" * 8))
    return b"".join(lines)


def _records(
    path: Path, start: int = 0, before: int = 0, last: bytes = b"", inode: int | None = None
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each whole line with its record. A last line that a dying process left torn is left out.

    Args:
        path: of the journal.
        start: how many bytes of it to skip.
        before: how many lines those are.
        last: how the last of them begins: its CRC, and what follows it.
        inode: of the file that is meant; of one that has taken its place nothing is read.
    """
    with reading(path, CampaignError, "restore it from a copy"), path.open("rb") as file:
        if inode is not None and os.fstat(file.fileno()).st_ino != inode:
            return  # folded just now: the next look begins anew
        file.seek(start)
        for number, line in enumerate(file, start=before + 1):
            record = _decode(path, number, line, last)
            if record is None and _torn(line):
                return  # more of it may be written meanwhile
            if record is None:
                raise CampaignError(
                    f"{path}: line {number} is damaged (its checksum does not match): restore the "
                    f"file from a copy, or {_cut(number)}"
                )
            last = line[: _CRC + 1]
            yield line, record


def _decode(path: Path, number: int, line: bytes, last: bytes) -> dict[str, Any] | None:
    """The record of a line; None if its checksum does not match.

    Raises:
        CampaignError: If it is no record, or does not follow the line before.
    """
    mark, body = line[_CRC : _CRC + 1], line[_CRC + 1 : -1]
    whole = mark in (_CHAINED, _PLAIN) and line.endswith(b"\n")
    if not whole or line[:_CRC] != b"%08x" % zlib.crc32(body):
        return None
    previous, _, text = body.partition(b" ") if mark == _CHAINED else (b"", b"", body)
    if last and (previous != last[:_CRC] if mark == _CHAINED else last[_CRC:] == _CHAINED):
        raise CampaignError(
            f"{path}: line {number} does not follow the line before it: a line was removed, "
            f"doubled or taken from elsewhere; restore the file from a copy, or {_cut(number)}"
        )
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict):
        raise CampaignError(
            f"{path}: line {number} is damaged: expected a record, got {one_line(text[:100])}"
        )
    return record


def _cut(number: int) -> str:
    """Advice for a journal that is right up to a line."""
    return (
        f"cut it off before that line (head -n {number - 1}): what comes after is then measured "
        "again"
    )


def _torn(line: bytes) -> bool:
    """Whether a line that is no record is the beginning of one, and not one that was damaged."""
    if line.endswith(b"\n"):
        return False
    # Else only its end of line was damaged.
    return line[:_CRC] != b"%08x" % zlib.crc32(line[_CRC + 1 : -1])


def _open_locked(path: Path) -> int:
    """The journal's descriptor, locked; made if it is not there."""
    while True:
        try:
            descriptor = os.open(path, _FLAGS | os.O_CREAT, 0o666)
        except OSError as error:
            raise CampaignError(f"cannot open the journal {path}: {error.strerror}") from error
        try:
            _take_lock(path, descriptor)
            if path.exists() and os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was folded meanwhile, and this is the file of before


def _fold(path: Path, descriptor: int, last: bytes) -> tuple[int, bytes]:
    """Fold all records that are not, if any, into Parquet.

    Args:
        path: of the journal.
        descriptor: its own, which holds the lock; closed if the journal has become another file.
        last: the CRC of its last line.

    Returns:
        The descriptor to go on with, which holds the lock, and the CRC of its last line.
    """
    records = (record for _, record in _records(path))
    folded: list[dict[str, Any]] = []
    unfolded = next(records, None)
    if unfolded is not None and (folded := parts.parts_of(unfolded)):
        unfolded = next(records, None)
    if unfolded is None:
        return descriptor, last
    first = parts.write_part(path.parent, folded, chain([unfolded], records))
    made = -1
    try:
        with write_atomically(path) as partial:
            line = encode(first, last)
            partial.write_bytes(line)
            made = os.open(partial, _FLAGS)
            fcntl.flock(made, fcntl.LOCK_EX)  # nobody else's, even for an instant
    except BaseException:
        if made >= 0:
            os.close(made)
        raise
    os.close(descriptor)
    return made, line[:_CRC]


def _take_lock(path: Path, descriptor: int, tries: int = 10) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        if tries > 1:  # a reader may have asked whether it is locked, for an instant
            time.sleep(0.02)
            _take_lock(path, descriptor, tries - 1)
            return
        raise CampaignLocked(
            f"{path.parent} is in use by {_holder(path)}; wait for it to end, or stop it"
        ) from None


def _holder(path: Path) -> str:
    """Who holds the lock on a file, as the kernel tells."""
    inode = path.stat().st_ino
    for line in Path("/proc/locks").read_text(encoding="utf-8").splitlines():
        words = line.split()
        if "->" not in words and words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
            return f"process {words[4]}"
    return "another process"


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def locked(journal: Path) -> bool:
    """Whether a process has a journal open for writing."""
    if not journal.exists():
        return False
    with journal.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False

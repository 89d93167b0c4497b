"""Files: written so that a reader sees the old one or the new one, read so that damage shows.

Every file that comes from outside is read inside `reading`: whatever its bytes make a library
raise becomes one line. Files of ours that are not rebuilt carry a checksum, or the journal has it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from balto.data.regular import not_readable, not_replaceable
from balto.errors import BaltoError, InputError, StorageError
from balto.text import one_line, quoted

#: Key under which a JSON file has the SHA-256 of the rest.
SEAL = "sha256"


def as_path(given: object) -> Path:
    """The path that a person gave, as text or as a path.

    Raises:
        InputError: If it is neither, or no file can have that name.
    """
    if isinstance(given, str | os.PathLike) and "\0" not in str(given):
        return Path(given)
    raise InputError(f"expected a path, got {quoted(given)}")


@contextmanager
def write_atomically(path: Path) -> Iterator[Path]:
    """Give a path to write to, beside `path`; then fsync it and put it in the place of `path`.

    A symbolic link stays: the file that it points to is replaced.

    Raises:
        StorageError: If the disk is full, rights are missing, the folder is not there, or `path`
            is a folder, a device, a FIFO or a socket, which are never replaced.
    """
    if not path.name:
        raise StorageError(f"cannot write {path}: expected the name of a file")
    path = Path(os.path.realpath(path)) if path.is_symlink() else path
    require_replaceable(path)
    # Other machines may write to the folder too, with processes of the same number.
    partial = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.partial")
    try:
        try:
            yield partial
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
        fsync_folder(path.parent)
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}; nothing written before is lost: "
            "mend it, then run the same command again"
        ) from error


def require_replaceable(path: Path) -> None:
    """Refuse to put a file in the place of what is none.

    Raises:
        StorageError: If `path` is a folder, a device, a FIFO, a socket or a symbolic link.
    """
    if what := not_replaceable(path):
        raise StorageError(
            f"cannot write {one_line(path)}: it is {what}, which is not replaced: give the path of "
            "a file, new or old"
        )


def require_readable(path: str | Path, kind: type[BaltoError]) -> None:
    """Refuse what could be read without an end, or waited for; see `not_readable`.

    Args:
        path: what is to be read; links are followed.
        kind: of the error that is raised.

    Raises:
        BaltoError: Of that kind, if `path` is neither a file nor a folder, or of the kernel's own.
    """
    if what := not_readable(path):
        raise kind(f"cannot read {one_line(path)}: expected a regular file, it is {what}")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        StorageError: If there is a file in its place, or it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise StorageError(f"expected a folder, {one_line(path)} is a file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"cannot make the folder {one_line(path)}: {reason}") from error


@contextmanager
def new_folder(path: Path) -> Iterator[None]:
    """Make a folder as `make_folder`; if what follows fails, what was made and is empty goes again.

    Raises:
        StorageError: If there is a file in its place, or it cannot be made.
    """
    made = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    make_folder(path)
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # not empty, or gone
            for each in made:
                each.rmdir()
        raise


def fsync_folder(path: Path) -> None:
    """Bring the names in a folder to the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


#: The system refuses so while nothing is wrong with what is in the file.
_NOT_THE_FILES_FAULT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EINTR)
_UNTOUCHED = "; the file may be sound: see that this process may read it, then try again"


@contextmanager
def reading(path: str | Path, kind: type[BaltoError], advice: str = "") -> Iterator[None]:
    """Turn whatever reading a file raises into one line that names the file.

    A file from outside can make JSON, zip, Arrow, NumPy and torch raise nearly anything; inside
    this block nothing but the file is looked at, so that anything is the file's fault.

    Args:
        path: for the message.
        kind: of the error that is raised.
        advice: what to do about it, and what that costs.

    Raises:
        BaltoError: Of that kind, if the block raises, or if `path` is a device, a FIFO or another
            thing that `require_readable` refuses; an error of this package passes as it is.
    """
    require_readable(path, kind)
    tail, path = f"; {advice}" if advice else "", one_line(path)
    tail_or = f", or, if there is enough, it is damaged{tail}"
    try:
        yield
    except BaltoError:
        raise
    except OSError as error:
        reason = error.strerror or one_line(error)
        sound = isinstance(error, PermissionError) or error.errno in _NOT_THE_FILES_FAULT
        raise kind(f"cannot read {path}: {reason}{_UNTOUCHED if sound else tail}") from error
    except MemoryError as error:
        raise kind(f"{path} asks for more memory than there is: free some{tail_or}") from error
    except KeyError as error:
        raise kind(f"{path} is damaged: {one_line(error)} is missing{tail}") from error
    except Exception as error:
        raise kind(f"{path} is damaged: {one_line(error) or type(error).__name__}{tail}") from error


def sha256(path: str | Path) -> str:
    """Of a file's bytes, in hexadecimal."""
    with open(path, "rb") as file:  # noqa: PTH123
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON object with the checksum of its content.

    Raises:
        StorageError: If it cannot be written.
    """
    with write_atomically(path) as partial:
        text = json.dumps({SEAL: _digest(content), **content}, indent=1, allow_nan=True)
        partial.write_text(text + "\n", encoding="utf-8")


def nan_to_none(value: Any) -> Any:
    """A number, or JSON's lists and dicts of them, with None in the place of NaN and infinity."""
    if isinstance(value, dict):
        return {k: nan_to_none(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_none(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path) -> dict[str, Any]:
    """Read what `write_json` wrote; use it inside `reading`.

    Raises:
        ValueError: If the content is not what was written.
    """
    content = json.loads(path.read_bytes())
    if not isinstance(content, dict) or content.pop(SEAL, None) != _digest(content):
        raise ValueError("its checksum does not match")
    return content


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

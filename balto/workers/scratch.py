"""Temporary folders that are removed however the processes that write there end.

What is compiled holds a person's network. So a process and its workers write to one folder; a lock,
which the kernel takes back from whoever is killed, says that it is in use.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "balto-workers-"
_TRIES, _PAUSE_S = 100, 0.05


def claim() -> tuple[str, int]:
    """A new folder, and a descriptor: the folder is in use until no process has that open.

    Removes first what was left by processes that were all killed at once.
    """
    _sweep()
    while True:
        folder = tempfile.mkdtemp(prefix=_PREFIX)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        with contextlib.suppress(OSError):  # a file system without locks: nobody sweeps there
            fcntl.flock(lock, fcntl.LOCK_EX)
        if Path(folder).exists():
            return folder, lock
        os.close(lock)  # somebody swept it before it was locked


def remove(folder: str) -> None:
    """Remove a folder; what still writes there is dying, and waited for some seconds at most."""
    for _ in range(_TRIES):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.lexists(folder):
            return
        time.sleep(_PAUSE_S)


def _sweep() -> None:
    for left in Path(tempfile.gettempdir()).glob(_PREFIX + "*"):
        with contextlib.suppress(OSError), _opened(left) as lock:
            if os.fstat(lock).st_uid == os.getuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

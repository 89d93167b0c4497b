"""What is at a path that is no regular file: a device, a FIFO, a socket, a file of the kernel."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

#: What is no file, by the type that the system gives it.
_NO_FILES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
}
#: Where files are made up by the kernel as they are read, some without end.
_OF_THE_KERNEL = ("/proc", "/sys")


def not_replaceable(path: Path) -> str:
    """What is at a path that no file should take the place of; empty for a file or nothing."""
    try:
        mode = path.lstat().st_mode
    except (OSError, ValueError):
        return ""  # not there, or writing will say what is wrong
    return _NO_FILES.get(stat.S_IFMT(mode), "")


def not_readable(path: str | Path) -> str:
    """What is at a path that would be waited for, or could be read without an end.

    Links are followed. It is empty for files and folders, and for what is not there: opening it
    says so.
    """
    try:
        found = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):
        return ""
    mode = stat.S_IFMT(found.st_mode)
    if mode == stat.S_IFDIR or (mode == stat.S_IFREG and found.st_dev not in _kernel_devices()):
        return ""
    return _NO_FILES.get(mode, "one that the kernel makes up")


def _kernel_devices() -> set[int]:
    found = set()
    for each in _OF_THE_KERNEL:
        with contextlib.suppress(OSError):
            found.add(os.stat(each).st_dev)  # noqa: PTH116
    return found

"""The one way in which functions are compiled: `jit`, by Numba, kept in a cache where there is one.

Numba keeps machine code beside the source, or in the user's cache folder. In a read-only container
or a system-wide installation neither can be written to: then a folder of this user's in the
system's temporary folder does, and else everything is compiled anew in each process. The cache is
loaded as pickles, so a temporary folder that others could write to is not used.
"""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called; it then runs without the interpreter's lock."""
    for prepare in (_as_configured, _in_temporary_folder):
        if prepare():
            try:
                return numba.njit(cache=True, nogil=True, error_model="numpy")(function)
            except RuntimeError as error:
                if "cannot cache function" not in str(error):
                    raise
    return numba.njit(nogil=True, error_model="numpy")(function)


def _as_configured() -> bool:
    return True


def _in_temporary_folder() -> bool:
    """Point Numba to a folder that only this user can write to; False where there is none."""
    try:
        # A worker's own temporary folder ends with it.
        shared = os.environ.get("BALTO_SHARED_TMPDIR", tempfile.gettempdir())
        folder = Path(shared) / f"balto-numba-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        return False
    numba.config.CACHE_DIR = str(folder)  # type: ignore[attr-defined]
    return True

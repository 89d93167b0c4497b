"""The process behind `balto.workers.worker.Worker`: receives calls, sends results.

Forked from `balto.workers.nursery`, which has imported TVM; what else a call needs it imports
itself. Functions that run here may call `stage` and `note`.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import math
import os
import pickle
import resource
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

#: Environment variable of a worker: the temporary folder for what outlives it.
SHARED_TMPDIR = "BALTO_SHARED_TMPDIR"
_PR_SET_PDEATHSIG = 1
_connection: Connection | None = None


def stage(name: str, deadline_s: float, cpu_s: float = math.inf) -> None:
    """Tell the parent what this call does now, and when that must end.

    Args:
        name: of what it does.
        deadline_s: what it may take by the clock, seconds.
        cpu_s: what it may take of the processor, on all cores together, seconds.
    """
    if _connection is not None:
        _connection.send(("stage", name, deadline_s, cpu_s))


def note(**facts: Any) -> None:
    """Tell the parent facts that it should know even if this call never returns."""
    if _connection is not None:
        _connection.send(("note", facts))


def resolve(function: str) -> Callable[..., Any]:
    """The function that ``package.module:name`` names."""
    module, _, name = function.partition(":")
    return getattr(importlib.import_module(module), name)  # type: ignore[no-any-return]


def pin(cpus: list[int]) -> None:
    """Let every thread of this process run on these CPUs only."""
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), cpus)


def die_with(parent: int, of: int = signal.SIGKILL) -> None:
    """Get a signal when the parent process dies, however that comes."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, of, 0, 0, 0)
    if os.getppid() != parent:  # it is dead already
        sys.exit(1)


def main(fd: int, parent: int, folder: str) -> None:
    """Serve calls until the caller closes the connection, or the parent dies.

    Args:
        fd: file descriptor of our end of the connection.
        parent: process id of who forked us.
        folder: to make, for all temporary files; whoever sees us end removes it.
    """
    global _connection
    die_with(parent)
    connection = _connection = Connection(fd)
    settings = connection.recv()
    sys.path[:] = settings["path"]
    sys.path_importer_cache.clear()
    os.environ.clear()
    os.environ.update(settings["env"])
    _use_for_temporary_files(folder)
    with contextlib.suppress(OSError):  # a folder that is gone
        os.chdir(settings["folder"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if settings["memory_bytes"]:
        resource.setrlimit(resource.RLIMIT_AS, (settings["memory_bytes"],) * 2)
    pin(settings["cpus"])
    for function, *args in connection.recv():  # what to load before it is ready
        resolve(function)(*args)
    gc.freeze()  # what is loaded now stays: do not walk it at every collection
    connection.send(("ready",))
    while True:
        try:
            call = connection.recv_bytes()
        except EOFError:
            return
        connection.send(("taken",))
        connection.send(_run(call))


def _use_for_temporary_files(folder: str) -> None:
    """Python, TVM and the compilers that it calls ask for ``TMPDIR``."""
    Path(folder).mkdir(mode=0o700)
    os.environ["TMPDIR"] = tempfile.tempdir = folder


def _run(call: bytes) -> tuple[Any, ...]:
    try:
        function, args = pickle.loads(call)  # noqa: S301  # our parent's
        return ("result", resolve(function)(*args))
    except MemoryError:
        return ("raised", "MemoryError", "out of memory")
    except Exception as error:  # whatever it is, the parent gets it as text
        traceback.print_exc()
        return ("raised", type(error).__name__, f"{type(error).__name__}: {error}")
    finally:
        sys.stdout.flush()
        sys.stderr.flush()

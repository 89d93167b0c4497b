"""What runs on a node of a Ray cluster: a call, in a warm worker of ours.

The function itself never runs in Ray's process. TVM may crash in ours: then the node tells what
became of the call, as on one machine, and Ray's process goes on.
"""

from __future__ import annotations

import functools
import os
import socket
from typing import Any

from balto.data.versions import version_of
from balto.errors import InputError, WorkerError
from balto.version import __version__
from balto.workers.worker import Worker


def versions() -> dict[str, str]:
    """What must be the same on every node, or other programs would be drawn there."""
    known = {name: version_of(name) or "none" for name in ("apache-tvm", "numpy")}
    return {"balto": __version__, **known}


def call_here(
    wanted: dict[str, str], function: str, args: tuple[Any, ...], deadline_s: float
) -> tuple[Any, WorkerError | InputError | None]:
    """Call a function in this node's warm worker; returns its result, and the error if it had one.

    Args:
        wanted: the driver's `versions`.
        function: ``package.module:name``.
        args: its arguments.
        deadline_s: what it may take, seconds.
    """
    here = versions()
    if here != wanted:
        named = ", ".join(
            f"{name} {here[name]} instead of {wanted[name]}"
            for name in wanted
            if here[name] != wanted[name]
        )
        return None, InputError(
            f"the Ray node {socket.gethostname()} has {named}: install the same version there"
        )
    try:
        return _worker(os.getpid()).call(function, *args, deadline_s=deadline_s), None
    except WorkerError as error:
        return None, error


@functools.cache
def _worker(pid: int) -> Worker:  # noqa: ARG001  # a forked process has none yet
    return Worker()

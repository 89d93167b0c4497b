"""The executor of a Ray cluster. The campaign's process never imports Ray."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import math
import os
import re
import tempfile
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from multiprocessing.connection import Pipe
from typing import Any

from balto.errors import ClusterLost, InputError, WorkerError
from balto.workers.executor import Executor
from balto.workers.ray_node import versions
from balto.workers.worker import Worker

#: How long leaving a cluster may take, seconds.
_LEAVING_S = 10.0
_HOST_PORT = re.compile(r"\S+:\d{1,5}")
_ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # tell nobody
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # a head that is gone is gone soon
}


class RayExecutor(Executor):
    """Runs calls as Ray tasks, each in a warm worker process of ours on some node.

    A call that dies, hangs or loses its node is made once more, on another node if there is one.
    A cluster that cannot be reached any more is `ClusterLost`, for every call under way. Young:
    tried on clusters of one machine.

    Args:
        address: ``HOST:PORT`` of a cluster's head, ``auto`` for the one that this machine belongs
            to, ``local`` for one of this machine alone, which ends with the executor.
        cpus: the CPUs of this machine that speaking with the cluster, or a local one, may use.

    Raises:
        InputError: If Ray is not installed, or `address` is of none of these forms.
        ClusterLost: If no cluster answers at `address`.
    """

    def __init__(self, address: str, cpus: Sequence[int] = ()) -> None:
        if importlib.util.find_spec("ray") is None:
            raise InputError("a Ray cluster needs ray: pip install 'balto[ray]'")
        if address not in ("auto", "local") and not _HOST_PORT.fullmatch(address):
            raise InputError(f"expected a cluster as HOST:PORT, auto or local, got {address!r}")
        self.address = address
        self._numbers = itertools.count()
        self._futures: dict[int, Future[Any]] = {}
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._lost: ClusterLost | None = None
        self._slots = 0
        self._known = threading.Event()
        self._connection, theirs = Pipe()
        inherit = (theirs.fileno(),)
        # Ray finds its clusters in the temporary folder, and a worker has one of its own.
        shared = os.environ.get("RAY_TMPDIR", tempfile.gettempdir())
        env = {"RAY_TMPDIR": shared, **_ENVIRONMENT}
        self._driver = Worker(cpus=cpus, env=env, inherit=inherit)
        self._driver.submit(
            *("balto.workers.ray_driver:serve", theirs.fileno(), address, versions()),
            deadline_s=math.inf,
        )
        theirs.close()
        self._reader = threading.Thread(target=self._read, name="ray", daemon=True)
        self._reader.start()
        self._known.wait()
        if self._lost is not None:
            self.close()
            raise self._lost

    @property
    def slots(self) -> int:
        """CPUs of the cluster, as it was some seconds ago."""
        return max(1, self._slots)

    def submit(self, function: str, *args: Any, deadline_s: float) -> Future[Any]:
        """Call a function on some node; see `Executor.submit`."""
        future: Future[Any] = Future()
        with self._lock:
            if self._lost is not None:
                raise self._lost
            number = next(self._numbers)
            self._futures[number] = future
        # Not under the lock of the futures: the reader must go on while this waits.
        with self._sending, contextlib.suppress(OSError):  # the reader tells why
            self._connection.send((number, function, args, deadline_s))
        return future

    def close(self) -> None:
        """Leave the cluster; a local one ends."""
        with self._lock:
            self._lost = self._lost or ClusterLost("the executor was closed")
        with self._sending, contextlib.suppress(OSError):
            self._connection.send(None)  # it leaves the cluster in good order, and ends
        self._reader.join(_LEAVING_S)
        self._driver.close()
        self._reader.join()
        self._connection.close()

    def _read(self) -> None:
        while True:
            try:
                message = self._connection.recv()
            except (EOFError, OSError):
                self._fail()
                return
            match message:
                case ("slots", count):
                    self._slots = count
                    self._known.set()
                case ("done", number, result, error):
                    with self._lock:
                        future = self._futures.pop(number)
                    if not future.set_running_or_notify_cancel():
                        continue
                    if error is None:
                        future.set_result(result)
                    else:
                        future.set_exception(error)

    def _fail(self) -> None:
        """Nothing comes any more: say so to every call."""
        reason = "" if self._lost else self._reason()
        with self._lock:
            self._lost = self._lost or ClusterLost(
                f"the Ray cluster {self.address} cannot be reached: {reason}; nothing that is "
                "written is lost: run the same command again when it is back"
            )
            futures, self._futures = list(self._futures.values()), {}
        self._known.set()
        for future in futures:
            if future.set_running_or_notify_cancel():
                future.set_exception(self._lost)

    def _reason(self) -> str:
        try:
            self._driver.result()
        except WorkerError as error:
            return str(error)
        return "it ended"

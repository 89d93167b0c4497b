"""Build here, time on a device of a TVM RPC tracker: what runs in the workers of `RpcMeasurer`."""

from __future__ import annotations

import math
import socket
import time
from dataclasses import dataclass
from typing import Any, Self

from balto.errors import DeviceLost, InputError, NoDevice
from balto.measure.build import build
from balto.measure.local import Job
from balto.measure.run import time_artifact
from balto.workers.child import note, stage


@dataclass(frozen=True)
class Tracker:
    """A TVM RPC tracker, and the key of the devices to use."""

    host: str
    port: int
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``HOST:PORT/KEY``.

        Raises:
            InputError: it is not of that form.
        """
        address, _, key = text.partition("/")
        host, _, port = address.rpartition(":")
        if not (host and key and port.isdecimal() and 0 < int(port) < 65536):
            raise InputError(
                f"expected a tracker as HOST:PORT/KEY, such as 127.0.0.1:9190/pi, got {text!r}"
            )
        return cls(host, int(port), key)


def measure(job: Job, tracker: Tracker, grace_s: float) -> dict[str, Any]:
    """Cross-compile, take a device, upload, time; returns the fields of an `Outcome`.

    Args:
        job: what to measure.
        tracker: whose devices to use.
        grace_s: how long to wait for a first device to come up.
    """
    started = time.perf_counter()
    artifact = build(job.program, export=True)
    note(build_s=time.perf_counter() - started)
    stage("wait", job.wait_s)
    session = _session(tracker, grace_s, math.ceil(job.run_s))
    stage("run", job.run_s)
    started = time.perf_counter()
    try:
        timing = time_artifact(artifact, job.timing, job.best_s, session=session)
    except Exception as error:
        raise _lost(error) from error
    return {**vars(timing), "measure_s": time.perf_counter() - started}


def _session(tracker: Tracker, grace_s: float, timeout_s: int) -> Any:
    """A session on a device that is free; waits in the tracker's queue for one."""
    from tvm.rpc import connect_tracker

    give_up = time.monotonic() + grace_s
    while True:
        try:
            with socket.create_connection((tracker.host, tracker.port), timeout=2):
                pass  # TVM itself would try for a minute
            connection = connect_tracker(tracker.host, tracker.port)
            known = connection.summary()["server_info"]
            if any(each["key"] == f"server:{tracker.key}" for each in known):
                # The device ends the session then, too.
                return connection.request(tracker.key, session_timeout=timeout_s, max_retry=1)
            problem = f"no device with the key {tracker.key} is registered there"
        except (OSError, RuntimeError) as error:
            problem = f"it does not answer ({error})"
        if time.monotonic() > give_up:
            raise NoDevice(f"tracker {tracker.host}:{tracker.port}: {problem}")
        time.sleep(0.2)


def _lost(error: Exception) -> Exception:
    """Tell a lost device from a program that raised there."""
    signs = ("Connection reset", "Broken pipe", "closed", "SocketError", "code=kShutdown")
    return DeviceLost(str(error)) if any(sign in str(error) for sign in signs) else error

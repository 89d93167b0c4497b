"""Time on a device of a TVM RPC tracker: what runs in the workers of `RpcMeasurer`."""

from __future__ import annotations

import math
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from balto.data.target import Target
from balto.errors import DeviceLost, InputError, NoDevice
from balto.measure.build import artifact_of
from balto.measure.execute import time_artifact
from balto.measure.local import Job
from balto.measure.probes import PROBE_S, time_probes
from balto.text import quoted
from balto.workers.child import note, stage

_ADDRESS = re.compile(r"([^/\s]+):([0-9]{1,5})/(\S+)")


@dataclass(frozen=True)
class Tracker:
    """A TVM RPC tracker, and the key of the devices to use.

    Attributes:
        host: its name or address.
        port: its port.
        key: of the devices.
    """

    host: str
    port: int
    key: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """From ``HOST:PORT/KEY``.

        Args:
            text: what a person wrote.

        Raises:
            InputError: If the text is not of that form, or the port is not one from 1 to 65535.
        """
        match = _ADDRESS.fullmatch(text) if isinstance(text, str) else None
        if match is None or not 0 < int(match[2]) < 65536:
            raise InputError(
                "expected a tracker as HOST:PORT/KEY, such as 127.0.0.1:9190/pi, "
                f"got {quoted(text)}"
            )
        return cls(match[1], int(match[2]), match[3])


def devices(tracker: Tracker, leave_out: frozenset[str] = frozenset()) -> list[str]:
    """The devices that are registered, as ``HOST:PORT``; none if the tracker does not answer."""
    try:
        return [
            d for d in _registered(_tracker_session(tracker), tracker.key) if d not in leave_out
        ]
    except (OSError, RuntimeError):
        return []


def measure(
    job: Job,
    tracker: Tracker,
    grace_s: float,
    leave_out: frozenset[str],
    probed: frozenset[str],
) -> dict[str, Any]:
    """Take a device, upload, time; returns the fields of an `Outcome`.

    Args:
        job: what to measure.
        tracker: whose devices to use.
        grace_s: how long to wait for a first device to come up.
        leave_out: devices not to use.
        probed: devices on which the probes need not be timed now.
    """
    artifact = artifact_of(job.work).export()
    stage("wait", job.wait_s)

    def timeout_s(device: str) -> int:
        """The device ends the session then, too: whatever hangs there holds it no longer."""
        return math.ceil(job.run.clock_s + (0 if device in probed else PROBE_S))

    session, device = _session(tracker, grace_s, leave_out, timeout_s)
    note(device=device)
    probe_s = math.nan
    if device not in probed:
        stage("probe", PROBE_S)
        probe_s = _probe(artifact.target, session)
    stage("run", *job.run)
    started = time.perf_counter()
    try:
        timing = time_artifact(artifact, job.timing, job.best_s, session=session)
    except Exception as error:
        raise _lost(error) from error
    measure_s = time.perf_counter() - started
    return {**vars(timing), "measure_s": measure_s, "device": device, "probe_s": probe_s}


def _probe(target: Target, session: Any) -> float:
    """What the probes take there; NaN where they cannot run."""
    try:
        return time_probes(target, session)
    except Exception as error:
        lost = _lost(error)
        if isinstance(lost, DeviceLost):
            raise lost from error
        return math.nan


def _tracker_session(tracker: Tracker) -> Any:
    from tvm.rpc import connect_tracker

    with socket.create_connection((tracker.host, tracker.port), timeout=2):
        pass  # TVM itself would try for a minute
    return connect_tracker(tracker.host, tracker.port)


def _registered(connection: Any, key: str) -> list[str]:
    known = connection.summary()["server_info"]
    return [_name(*each["addr"]) for each in known if each["key"] == f"server:{key}"]


def _name(host: str, port: int) -> str:
    return f"{host}:{port}"


def _session(
    tracker: Tracker,
    grace_s: float,
    leave_out: frozenset[str],
    timeout_s: Callable[[str], int],
) -> tuple[Any, str]:
    """A session on a device that is free, and its name; waits in the tracker's queue for one."""
    give_up = time.monotonic() + grace_s
    while True:
        try:
            connection = _tracker_session(tracker)
            known = _registered(connection, tracker.key)
            if set(known) - leave_out:
                return _request(connection, tracker.key, leave_out, timeout_s)
            left = f", but for {len(known)} left out" if known else ""
            problem = f"no device with the key {tracker.key} is registered there{left}"
        except (OSError, RuntimeError) as error:
            problem = f"it does not answer ({error})"
        if time.monotonic() > give_up:
            raise NoDevice(f"tracker {tracker.host}:{tracker.port}: {problem}")
        time.sleep(0.2)


def _request(
    connection: Any, key: str, leave_out: frozenset[str], timeout_s: Callable[[str], int]
) -> tuple[Any, str]:
    """As TVM's ``TrackerSession.request``, which does not say which device it is.

    A device that is left out is not connected to; it offers itself again some seconds later.
    """
    from tvm.rpc import base, connect

    while True:
        base.sendjson(connection._sock, [base.TrackerCode.REQUEST, key, "", 1])
        code, answer = base.recvjson(connection._sock)[:2]
        if code != base.TrackerCode.SUCCESS:
            raise RuntimeError(f"it gives no device: {answer}")
        host, port, match_key = answer
        device = _name(host, port)
        if device not in leave_out:
            return connect(host, port, match_key, timeout_s(device)), device


def _lost(error: Exception) -> Exception:
    """Tell a lost device from a program that raised there."""
    signs = ("Connection reset", "Broken pipe", "closed", "SocketError", "code=kShutdown")
    return DeviceLost(str(error)) if any(sign in str(error) for sign in signs) else error

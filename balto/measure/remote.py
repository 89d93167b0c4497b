"""Build here, time on a device of a TVM RPC tracker: the function that runs inside a worker."""

from __future__ import annotations

import math
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from balto.measure.program import build, device_of
from balto.measure.timing import TimingSettings, time_program
from balto.measure.tvm_setup import import_tvm
from balto.measure.worker_child import note, stage


class DeviceLost(Exception):
    """The connection to the device broke: its program crashed there, or it died itself."""


class NoDevice(Exception):
    """No device of this key is known to the tracker, or there is no tracker."""


@dataclass(frozen=True)
class RemoteRequest:
    """One program to build here and to time on a device.

    Attributes:
        module, trace, target, best_s, timing, run_timeout_s, wait_s: as in `Request`.
        host, port, key: the tracker, and the key of the devices to use.
        grace_s: how long to wait for a first device to come up.
    """

    module: str
    trace: str
    target: str
    best_s: float
    timing: TimingSettings
    run_timeout_s: float
    wait_s: float
    host: str
    port: int
    key: str
    grace_s: float


def measure(request: RemoteRequest) -> dict[str, Any]:
    """Cross-compile, take a device, upload, time; returns the fields of an `Outcome`."""
    started = time.perf_counter()
    tvm = import_tvm(request.target)
    with tempfile.TemporaryDirectory(prefix="balto-") as folder:
        runnable, arguments = build(tvm, request.module, request.trace, request.target)
        library = Path(folder) / "program.tar"  # object files: the device links them
        runnable.export_library(str(library))
        note(build_s=time.perf_counter() - started)
        stage("wait", request.wait_s)
        session = _session(request)
        stage("run", request.run_timeout_s)
        started = time.perf_counter()
        try:
            session.upload(str(library))
            remote = session.load_module(library.name)
            timing = _time(session, remote, arguments, request)
        except Exception as error:
            raise _lost(error) from error
        return {**vars(timing), "measure_s": time.perf_counter() - started}


def _session(request: RemoteRequest) -> Any:
    """A session on a device that is free; waits in the tracker's queue for one."""
    from tvm.rpc import connect_tracker

    give_up = time.monotonic() + request.grace_s
    while True:
        try:
            with socket.create_connection((request.host, request.port), timeout=2):
                pass  # TVM itself would try for a minute
            tracker = connect_tracker(request.host, request.port)
            known = tracker.summary()["server_info"]
            if any(each["key"] == f"server:{request.key}" for each in known):
                timeout = math.ceil(request.run_timeout_s)  # then the device ends it too
                return tracker.request(request.key, session_timeout=timeout, max_retry=1)
            problem = f"no device with the key {request.key} is registered there"
        except (OSError, RuntimeError) as error:
            problem = f"it does not answer ({error})"
        if time.monotonic() > give_up:
            raise NoDevice(f"tracker {request.host}:{request.port}: {problem}")
        time.sleep(0.2)


def _time(
    session: Any, remote: Any, arguments: list[tuple[tuple[int, ...], str]], request: RemoteRequest
) -> Any:
    import tvm

    device = session.device(device_of(request.target))
    fill = session.get_function("tvm.contrib.random.random_fill_for_measure")
    tensors = []
    for shape, dtype in arguments:
        tensors.append(tvm.runtime.empty(shape, dtype, device))
        fill(tensors[-1])

    def repeat(number: int) -> float:
        evaluator = remote.time_evaluator("main", device, number=number)
        return float(evaluator(*tensors).mean)

    return time_program(repeat, request.timing, None, request.best_s)


def _lost(error: Exception) -> Exception:
    """Tell a lost device from a program that raised there."""
    signs = ("Connection reset", "Broken pipe", "closed", "SocketError", "code=kShutdown")
    return DeviceLost(str(error)) if any(sign in str(error) for sign in signs) else error

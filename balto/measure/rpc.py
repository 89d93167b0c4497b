"""Measure on a fleet of devices, over TVM's own RPC tracker and servers.

The tracker and its protocol are TVM's, so any board that runs ``tvm.exec.rpc_server`` or TVM's
C++ server is a device. What is ours is that nothing can hang or be lost: each client runs in a
worker process with a deadline of its own, and a program whose device died is tried on another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from balto.errors import InputError, MeasurerError
from balto.measure.crew import CrewMeasurer
from balto.measure.measurer import Candidate
from balto.measure.remote import RemoteRequest
from balto.measure.timing import TimingSettings
from balto.measure.worker import Worker, WorkerError, WorkerRaised, WorkerTimeout

_MEASURE = "balto.measure.remote:measure"
_IMPORT = "balto.measure.tvm_setup:import_tvm"


@dataclass(frozen=True)
class RpcSettings:
    """Which devices measure, and how.

    Attributes:
        host, port: of the tracker.
        key: of the devices.
        workers: how many programs are under way at once; usually the number of devices.
        timing: how precisely programs are timed.
        build_timeout_s: deadline of compiling one program here.
        run_timeout_s: deadline of uploading, linking and timing one program there.
        wait_s: deadline of waiting for a free device.
        grace_s: with no device left, how long to wait for one to come back.
        tries: on how many devices a program is tried that loses its device.
        memory_bytes, recycle_bytes: as in `MeasureSettings`.
    """

    host: str
    port: int
    key: str
    workers: int = 1
    timing: TimingSettings = field(default_factory=TimingSettings)
    build_timeout_s: float = 30.0
    run_timeout_s: float = 30.0
    wait_s: float = 600.0
    grace_s: float = 10.0
    tries: int = 2
    memory_bytes: int = 16 << 30
    recycle_bytes: int = 1 << 30


def parse_address(text: str) -> tuple[str, int, str]:
    """``HOST:PORT/KEY`` as host, port and key.

    Raises:
        InputError: it is not of that form.
    """
    address, _, key = text.partition("/")
    host, _, port = address.rpartition(":")
    if not (host and key and port.isdecimal() and 0 < int(port) < 65536):
        raise InputError(
            f"expected a tracker as HOST:PORT/KEY, such as 127.0.0.1:9190/pi, got {text!r}"
        )
    return host, int(port), key


class RpcMeasurer(CrewMeasurer):
    """Builds programs here and times them on the devices of a tracker.

    Args:
        settings: which devices, and how.
        target: JSON of the devices' target, to prepare the workers for.
        best_s: the smallest latency known of each task, by its name.
    """

    def __init__(
        self,
        settings: RpcSettings,
        target: str = '{"kind": "llvm"}',
        best_s: dict[str, float] | None = None,
    ) -> None:
        self.settings = settings
        workers = [
            Worker(memory_bytes=settings.memory_bytes, preload=[(_IMPORT, target)])
            for _ in range(settings.workers)
        ]
        super().__init__(workers, settings.recycle_bytes, best_s)

    def _submit(self, number: int, candidate: Candidate, best_s: float) -> None:
        settings = self.settings
        request = RemoteRequest(
            module=candidate.task.module,
            trace=candidate.trace,
            target=candidate.task.target,
            best_s=best_s,
            timing=settings.timing,
            run_timeout_s=settings.run_timeout_s,
            wait_s=settings.wait_s,
            host=settings.host,
            port=settings.port,
            key=settings.key,
            grace_s=settings.grace_s,
        )
        self._workers[number].submit(_MEASURE, request, deadline_s=settings.build_timeout_s)

    def _retries(self, error: WorkerError, tries: int) -> bool:
        kind = error.kind if isinstance(error, WorkerRaised) else ""
        waited = isinstance(error, WorkerTimeout) and error.stage == "wait"
        if waited or kind == "NoDevice":
            raise MeasurerError(
                f"no device to measure on: {error}; start one, then run the same command again"
            ) from error
        return kind == "DeviceLost" and tries < self.settings.tries

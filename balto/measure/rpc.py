"""Measure on a fleet of devices, over TVM's own RPC tracker and servers.

The tracker and its protocol are TVM's, so any board that runs ``tvm.exec.rpc_server`` or TVM's
C++ server is a device. What is ours is that nothing can hang or be lost: each client runs in a
worker process with a deadline of its own, and a program whose device died is tried on another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from balto.data.candidate import Candidate
from balto.data.target import Target
from balto.errors import InputError, NoDevice, WorkerError, WorkerRaised, WorkerTimeout
from balto.measure.build import Program
from balto.measure.crew import CrewMeasurer
from balto.measure.local import Job
from balto.measure.remote import Tracker
from balto.measure.settings import MeasureSettings
from balto.workers.worker import Worker

_MEASURE = "balto.measure.remote:measure"
_IMPORT = "balto.workers.tvm_setup:import_tvm"


@dataclass(frozen=True, kw_only=True)
class RpcSettings:
    """Which devices measure, and how.

    Attributes:
        tracker: where the devices are.
        measure: how programs are built and timed; one at a time unless it says more `workers`,
            usually the number of devices.
        upload_timeout_s: what uploading and linking may take, on top of running.
        wait_s: deadline of waiting for a free device.
        grace_s: with no device left, how long to wait for one to come back.
        tries: on how many devices a program is tried that loses its device.

    Raises:
        InputError: a value that cannot be.
    """

    tracker: Tracker
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    upload_timeout_s: float = 20.0
    wait_s: float = 600.0
    grace_s: float = 10.0
    tries: int = 2

    def __post_init__(self) -> None:
        for name in ("upload_timeout_s", "wait_s", "tries"):
            if not getattr(self, name) > 0:
                raise InputError(f"expected {name} above 0, got {getattr(self, name)}")
        if not self.grace_s >= 0:
            raise InputError(f"expected grace_s of at least 0, got {self.grace_s}")


class RpcMeasurer(CrewMeasurer):
    """Builds programs here and times them on the devices of a tracker.

    `for_target` is the usual way to make one: it refuses a target that leaves the device open.

    Args:
        target: of the devices' programs.
        settings: which devices, and how.
    """

    def __init__(self, target: Target, settings: RpcSettings) -> None:
        self.settings = settings
        memory_bytes = settings.measure.memory_for(target)
        workers = [
            Worker(memory_bytes=memory_bytes, preload=[(_IMPORT, target)])
            for _ in range(settings.measure.workers or 1)
        ]
        super().__init__(workers, settings.measure.recycle_bytes)

    @classmethod
    def for_target(cls, target: Target, settings: RpcSettings) -> Self:
        """A measurer for devices that `target` describes.

        Raises:
            InputError: the target leaves open what the device is, which would be this machine.
        """
        parts = [target] if target.host is None else [target, target.host]
        if not any(p.mcpu or p.option("mtriple") or p.option("arch") for p in parts):
            wanted = (
                '"mcpu" or "mtriple", such as '
                '{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}'
                if target.on_cpu
                else '"arch", or a "host" with "mtriple", such as {"kind": "cuda", "arch": "sm_80"}'
            )
            raise InputError(
                f"the target {target} does not say what the devices are: state {wanted}"
            )
        return cls(target, settings)

    def _submit(self, number: int, candidate: Candidate, best_s: float) -> None:
        settings, how = self.settings, self.settings.measure
        job = Job(
            program=Program.of(candidate),
            timing=how.timing,
            best_s=best_s,
            wait_s=settings.wait_s,
            run_s=how.run_timeout_s + settings.upload_timeout_s,
        )
        self._workers[number].submit(
            *(_MEASURE, job, settings.tracker, settings.grace_s), deadline_s=how.build_timeout_s
        )

    def _retries(self, error: WorkerError, tries: int) -> bool:
        kind = error.kind if isinstance(error, WorkerRaised) else ""
        waited = isinstance(error, WorkerTimeout) and error.stage == "wait"
        if waited or kind == "NoDevice":
            reason = str(error).removeprefix("NoDevice: ")
            raise NoDevice(
                f"no device to measure on: {reason}; start one, then run the same command again"
            ) from error
        lost = kind == "DeviceLost" and tries < self.settings.tries
        return lost or super()._retries(error, tries)

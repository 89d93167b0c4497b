"""Measure on a fleet of devices, over TVM's own RPC tracker and servers.

The tracker and its protocol are TVM's, so any board that runs ``tvm.exec.rpc_server`` or TVM's
C++ server is a device. What is ours is that nothing can hang or be lost: each client runs in a
worker process with a deadline of its own, and a program whose device died is tried on another.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from balto.arguments import check_field, check_type, texts
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.plausible import LEFT_OUT
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError, NoDevice, WorkerError, WorkerRaised, WorkerTimeout
from balto.measure.build import Built, Program, limit_of
from balto.measure.crew import CrewMeasurer
from balto.measure.local import Job
from balto.measure.probes import PROBE_EVERY
from balto.measure.remote import Tracker
from balto.measure.settings import Limit, MeasureSettings
from balto.measure.todo import BuildAhead, Todo
from balto.workers.executor import Executor
from balto.workers.local import LocalExecutor
from balto.workers.worker import Worker

_MEASURE = "balto.measure.remote:measure"
_DEVICES = "balto.measure.remote:devices"
_IMPORT = "balto.workers.tvm_setup:import_tvm"
_PROBE_TRIES = 5
#: A device is left out when it has given so many latencies that cannot be, and they are more than
#: this share of its answers.
_IMPLAUSIBLE, _SHARE = 3, 0.1


@dataclass(frozen=True, kw_only=True)
class RpcSettings:
    """Which devices measure, and how.

    Attributes:
        tracker: where the devices are.
        measure: how programs are built and timed; its `workers` is how many are on the way to a
            device at once, by default one more than there are devices.
        leave_out: devices not to time on, as ``HOST:PORT``.
        upload_timeout_s: what uploading and linking may take, on top of running.
        wait_s: deadline of waiting for a free device.
        grace_s: with no device left, how long to wait for one to come back.
        tries: on how many devices a program is tried that loses its device.

    Raises:
        InputError: If a value is of another type or out of its range.
    """

    tracker: Tracker
    measure: MeasureSettings = field(default_factory=MeasureSettings)
    upload_timeout_s: float = 20.0
    wait_s: float = 600.0
    grace_s: float = 10.0
    tries: int = 2
    leave_out: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check_type("tracker", self.tracker, Tracker, 'Tracker.parse("127.0.0.1:9190/pi")')
        check_type("measure", self.measure, MeasureSettings, "MeasureSettings(workers=2)")
        for name in ("upload_timeout_s", "wait_s"):
            check_field(self, name, 1e-6)
        check_field(self, "grace_s", 0)
        check_field(self, "tries", 1, whole=True)
        object.__setattr__(self, "leave_out", frozenset(texts("leave_out", self.leave_out)))


class RpcMeasurer(CrewMeasurer):
    """Has programs built by an executor and times them on the devices of a tracker.

    A device that keeps giving latencies that cannot be is left out, and the last of these outcomes
    says so; with no device left, measuring ends with `NoDevice`.

    `for_target` is the usual way to make one: it refuses a target that leaves the device open.

    Args:
        target: of the devices' programs.
        settings: which devices, and how.
        executor: where programs are built, the caller's; processes of this machine if it is None.
    """

    def __init__(
        self, target: Target, settings: RpcSettings, executor: Executor | None = None
    ) -> None:
        self.settings = settings
        self._memory_bytes = settings.measure.memory_for(target)
        self._preload: list[tuple[Any, ...]] = [(_IMPORT, target)]
        self._since_probe: dict[str, int] = {}  # programs, by device
        self._answers: Counter[str] = Counter()  # by device
        self._implausible: Counter[str] = Counter()
        self._distrusted: frozenset[str] = frozenset()
        self._own = None if executor else LocalExecutor([self._worker() for _ in self.free_cpus])
        self._executor = executor or self._own
        workers = [self._worker() for _ in range(settings.measure.workers or 1)]
        super().__init__(workers, settings.measure.recycle_bytes)

    def _worker(self) -> Worker:
        return Worker(memory_bytes=self._memory_bytes, preload=self._preload)

    @classmethod
    def for_target(
        cls, target: Target | str, settings: RpcSettings, executor: Executor | None = None
    ) -> Self:
        """A measurer for devices that `target` describes.

        Args:
            target: of the devices; an object, or as `Target.parse` takes it.
            settings: which devices, and how they measure.
            executor: builds the programs; None for worker processes of this machine.

        Returns:
            A measurer; close it, or use it as a context.

        Raises:
            InputError: If the target does not say what the devices are: it would mean this machine.
        """
        target = Target.of(target)
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
        advice = 'RpcSettings(tracker=Tracker.parse("127.0.0.1:9190/pi"))'
        return cls(target, check_type("settings", settings, RpcSettings, advice), executor)

    def measure(
        self, candidates: Sequence[Candidate]
    ) -> Generator[tuple[int, Outcome], None, None]:
        """Build and time `candidates`; see `Measurer.measure`."""
        self._hire()
        with contextlib.closing(super().measure(candidates)) as measured:
            for index, outcome in measured:
                if math.isfinite(outcome.probe_s):
                    self._since_probe[outcome.device] = 1
                elif outcome.device in self._since_probe or outcome.ok:  # or it cannot be probed
                    since = self._since_probe.get(outcome.device, 0)
                    self._since_probe[outcome.device] = since + 1
                yield index, outcome

    def close(self) -> None:
        """Stop every worker."""
        super().close()
        if self._own is not None:
            self._own.close()

    def _hire(self) -> None:
        """A worker for each device that is there now, and one to stand in the tracker's queue."""
        if self.settings.measure.workers:
            return
        arguments = (self.settings.tracker, self._left_out)
        try:
            found = self._workers[0].call_with_retries(_DEVICES, *arguments, deadline_s=30.0)
        except WorkerTimeout as error:
            raise NoDevice(
                f"no device to measure on: the tracker {self.settings.tracker} does not answer; "
                "start one, then run the same command again"
            ) from error
        for _ in range(len(found) + 1 - len(self._workers)):
            self._workers.append(self._worker())

    def _todo(self, candidates: Sequence[Candidate]) -> Todo:
        assert self._executor is not None
        limit = self.settings.measure.build_limit
        return BuildAhead(candidates, self._executor, len(self._workers), limit)

    def _submit(self, number: int, work: Program | Built, best_s: float) -> None:
        settings, how = self.settings, self.settings.measure
        job = Job(
            work=work,
            timing=how.timing,
            best_s=best_s,
            wait_s=settings.wait_s,
            run=Limit(how.run_timeout_s + settings.upload_timeout_s),
        )
        probed = frozenset(d for d, n in self._since_probe.items() if n < PROBE_EVERY)
        self._workers[number].submit(
            *(_MEASURE, job, settings.tracker, settings.grace_s, self._left_out, probed),
            deadline_s=limit_of(work, how.build_limit).clock_s,
        )

    @property
    def _left_out(self) -> frozenset[str]:
        return self.settings.leave_out | self._distrusted

    def _judged(self, outcome: Outcome, task: Task) -> Outcome:
        judged, device = super()._judged(outcome, task), outcome.device
        self._answers[device] += 1
        if judged is outcome:
            return outcome
        self._implausible[device] += 1
        wrong, answers = self._implausible[device], self._answers[device]
        if wrong < _IMPLAUSIBLE or wrong <= _SHARE * answers or device in self._distrusted:
            return judged
        self._distrusted |= {device}
        tally = f"{wrong} of its {answers} answers cannot be"
        return replace(judged, message=f"{judged.message}; {tally}: the device {LEFT_OUT}")

    def _retries(self, error: WorkerError, tries: int) -> bool:
        kind = error.kind if isinstance(error, WorkerRaised) else ""
        waited = isinstance(error, WorkerTimeout) and error.stage == "wait"
        if waited or kind == "NoDevice":
            reason = str(error).removeprefix("NoDevice: ")
            if self._distrusted:
                names = ", ".join(sorted(self._distrusted))
                reason += f" (latencies that cannot be came from {names}: repair or restart it)"
            raise NoDevice(
                f"no device to measure on: {reason}; start one, then run the same command again"
            ) from error
        if error.stage == "probe":  # that is no fault of the program's
            return tries < _PROBE_TRIES
        lost = kind == "DeviceLost" and tries < self.settings.tries
        return lost or super()._retries(error, tries)

"""`Runner`, for ``ms.tune_tir(builder=Builder(), runner=Runner())`` and ``tune_relax``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tvm.ir.utils import derived_object
from tvm.s_tir.meta_schedule.runner import PyRunner, RunnerFuture, RunnerInput, RunnerResult

from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import InputError
from balto.measure.measurer import Measurer
from balto.measure.named import create
from balto.metaschedule.builder import MODULE, TARGET


@derived_object
class Runner(PyRunner):  # type: ignore[misc]
    """Builds and times programs with a balto measurer, in warm and isolated workers.

    MetaSchedule hands over one task's programs at a time and does not say which task: two tasks
    may have arguments of the same shapes. So what is known of the best latency, which decides how
    often a program is run, is shared within one call of `run` and no further.

    Args:
        measurer: measures them: an object, or ``live`` for this machine or ``rpc:HOST:PORT/KEY``,
            which makes one for each target that comes. It is closed by whoever made it; its
            workers die with this process.
    """

    def __init__(self, measurer: Measurer | str = "live") -> None:
        super().__init__()
        self.measurer = measurer
        self.made: dict[Target, Measurer] = {}

    def run(self, runner_inputs: list[RunnerInput]) -> list[RunnerFuture]:
        """Measure what `balto.tune.Builder` wrote."""
        candidates = [_candidate(i, each) for i, each in enumerate(runner_inputs)]
        if not candidates:
            return []
        outcomes = dict(self._measurer(candidates[0].task.target).measure(candidates))
        return [_future(outcomes[i]) for i in range(len(candidates))]

    def _measurer(self, target: Target) -> Measurer:
        if isinstance(self.measurer, Measurer):
            return self.measurer
        if target not in self.made:
            self.made[target] = create(self.measurer, target)
        return self.made[target]


def _candidate(index: int, runner_input: Any) -> Candidate:
    module = Path(str(runner_input.artifact_path))
    if module.name != MODULE:
        raise InputError(
            "balto.tune.Runner runs what balto.tune.Builder hands over; pass "
            f"builder=balto.tune.Builder() too (got the artifact {module})"
        )
    arguments = json.dumps([str(info) for info in runner_input.args_info])
    task = Task(
        name=arguments,
        op="metaschedule",
        args=arguments,
        weight=1,
        target=Target.from_json(module.with_name(TARGET).read_text(encoding="utf-8")),
        device=str(runner_input.device_type),
        module=module.read_text(encoding="utf-8"),
    )
    return Candidate(task, 0, index, trace="")  # scheduled already


def _future(outcome: Outcome) -> RunnerFuture:
    if outcome.ok:
        result = RunnerResult([outcome.latency_median_s], None)
    else:
        result = RunnerResult(None, f"{outcome.status.value}: {outcome.message}")
    return RunnerFuture(f_done=lambda: True, f_result=partial(_same, result))


def _same(result: Any) -> Any:
    return result

"""`Runner`, for ``ms.tune_tir(builder=Builder(), runner=Runner())`` and ``tune_relax``."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tvm.ir.utils import derived_object
from tvm.s_tir.meta_schedule.runner import PyRunner, RunnerFuture, RunnerInput, RunnerResult

from balto.measure.live import LiveMeasurer, MeasureSettings
from balto.measure.measurer import Candidate, Measurer
from balto.measure.outcome import Outcome
from balto.tasks.task import Task
from balto.tune.builder import MODULE, TARGET


@derived_object
class Runner(PyRunner):  # type: ignore[misc]
    """Builds and times programs with a balto measurer, in warm and isolated workers.

    Args:
        measurer: measures them; a `LiveMeasurer` with default settings if None. It is closed by
            whoever made it; its workers die with this process.
    """

    def __init__(self, measurer: Measurer | None = None) -> None:
        super().__init__()
        self.measurer = measurer or LiveMeasurer(MeasureSettings())
        self.task_ids: dict[str, int] = {}

    def run(self, runner_inputs: list[RunnerInput]) -> list[RunnerFuture]:
        """Measure what `balto.tune.Builder` wrote."""
        candidates = [self._candidate(i, each) for i, each in enumerate(runner_inputs)]
        outcomes = dict(self.measurer.measure(candidates))
        return [_future(outcomes[i]) for i in range(len(candidates))]

    def _candidate(self, index: int, runner_input: Any) -> Candidate:
        module = Path(str(runner_input.artifact_path))
        if module.name != MODULE:
            raise ValueError(
                "balto.tune.Runner runs what balto.tune.Builder hands over; pass "
                f"builder=balto.tune.Builder() too (got the artifact {module})"
            )
        arguments = json.dumps([str(info) for info in runner_input.args_info])
        task = Task(
            name=arguments,
            op="metaschedule",
            args=arguments,
            weight=1,
            target=module.with_name(TARGET).read_text(),
            device=str(runner_input.device_type),
            module=module.read_text(),
        )
        return Candidate(task, self.task_ids.setdefault(arguments, len(self.task_ids)), index)


def _future(outcome: Outcome) -> RunnerFuture:
    if outcome.ok:
        result = RunnerResult([outcome.latency_median_s], None)
    else:
        result = RunnerResult(None, f"{outcome.status.value}: {outcome.message}")
    return RunnerFuture(f_done=lambda: True, f_result=partial(_same, result))


def _same(result: Any) -> Any:
    return result

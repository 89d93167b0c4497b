"""What is given to a measurer: one program of a task."""

from __future__ import annotations

from dataclasses import dataclass, field

from balto.data.task import Task


@dataclass(frozen=True)
class Candidate:
    """One program to measure.

    Attributes:
        task: what it computes, and for which target.
        task_id: 0-based index of the task in its campaign or pool.
        program_id: 0-based index of the program in its task, in sampling order.
        trace: JSON of the MetaSchedule trace that makes the program; None where not kept.
        best_s: smallest latency known of the task when it was asked for, seconds; None if none is.
    """

    task: Task
    task_id: int
    program_id: int
    trace: str | None = field(default=None, repr=False)
    best_s: float | None = None

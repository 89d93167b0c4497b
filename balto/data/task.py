"""What a task is: one tensor computation to optimise on one target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from balto.data.plausible import flop_problem
from balto.data.target import Target
from balto.errors import InputError
from balto.text import one_line


@dataclass(frozen=True)
class Task:
    """One optimisation task.

    Attributes:
        name: unique within a campaign or pool, for people, e.g. ``matmul_relu_128x512x128``.
        op: operator family, e.g. ``conv2d_nhwc``.
        args: JSON list of the operator's arguments or shapes.
        weight: how often it occurs in its networks; 1 where there is none.
        target: what it is compiled for.
        device: the processor that runs it, and on how many cores.
        flop: floating-point operations of one run; NaN where unknown.
        module: TVM's JSON of the ``IRModule`` with one ``main`` function; None where
            it was not kept.

    Raises:
        InputError: If `flop` is below 0, infinite, or more than any device could do.
    """

    name: str
    op: str
    args: str
    weight: int
    target: Target
    device: str
    flop: float = float("nan")
    module: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if problem := flop_problem(self.flop):
            raise InputError(f"{problem} for the task {one_line(self.name)[:80]}")

    def require_module(self) -> str:
        """The module, of which programs are made.

        Returns:
            TVM's JSON.

        Raises:
            InputError: If the module was not kept.
        """
        if self.module is None:
            raise InputError(
                f"expected the task {self.name} with its module, of which programs are made; it "
                "has none: it comes from a file that kept none"
            )
        return self.module

    def to_dict(self) -> dict[str, Any]:
        """A row of a file: every field, the target as its JSON.

        Returns:
            Values for JSON, by name.
        """
        return {**vars(self), "target": self.target.to_json()}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Task:
        """The inverse of `to_dict`.

        Args:
            row: of a file.

        Returns:
            The task.

        Raises:
            InputError: If the target is not a JSON object with a kind, or `flop` cannot be.
        """
        module = row.get("module") or None  # empty in older files
        return cls(**{**row, "target": Target.from_json(row["target"]), "module": module})


def task_seed(seed: int, task_name: str) -> int:
    """The seed of what is drawn for one task, in [0, 2^32): it depends on no other task."""
    return crc32(f"{seed} {task_name}".encode())

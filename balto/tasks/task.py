"""What a task is: one tensor computation to optimise on one target."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One optimisation task.

    Attributes:
        name: unique within a campaign or pool, for people, e.g. ``matmul_relu_128x512x128``.
        op: operator family, e.g. ``conv2d_nhwc``.
        args: JSON list of the operator's arguments or shapes.
        weight: how often it occurs in its networks; 1 where there is none.
        target: JSON of the TVM target.
        device: the processor that runs it, and on how many cores.
        flop: floating-point operations of one run; NaN where unknown.
        module: TVM's JSON of the ``IRModule`` with one ``main`` function; empty in a recorded pool.
    """

    name: str
    op: str
    args: str
    weight: int
    target: str
    device: str
    flop: float = float("nan")
    module: str = ""

"""Feature set ``cycles``: what a compiler makes of the loop nests, and the cycles that takes.

`balto.programs.loops` says what the schedule asks for. Between that and a latency stands LLVM: it
unrolls small loops that TVM left alone, vectorises what TVM did not, keeps a reduction's
accumulators in registers or does not, and spills what does not fit. `balto.programs.llvm` models
that: which loops become straight code, in how many vector instructions, with how many registers,
loads and stores; and, from what a core can issue in a cycle, how long each statement takes. Within
a task the estimate alone has a rank correlation with the latency of .7 on average; what it gets
wrong, a cost model learns (`docs/features.md`).

Counts are ``log2(1 + x)``, and cycles ``log2`` of the cycles for one execution of the main
statement.

Runs where TVM is loaded, on ``schedule.mod`` as MetaSchedule's postprocessors left it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log2
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.programs.extract import Drawn
from balto.programs.footprints import LINE, ROLES, unrolled_loops
from balto.programs.llvm import LANES, Code
from balto.programs.loops import ABSENT, stride
from balto.programs.nests import Program, read

#: Name of the feature set, and the version of what its columns mean.
NAME, VERSION = "cycles", 1
#: The logarithm that stands for no cycles at all.
NO_CYCLES = -10.0


def _names() -> Iterable[str]:
    yield from (f"main.{c}" for c in _REGION)
    yield from (f"main.vectors.{a}" for a in ROLES)
    yield from (f"main.run.{a}" for a in ROLES)
    yield from (f"main.hot.{c}" for c in ("extent", "reduces", "kind", "widened"))
    yield from (f"main.hot.stride.{a}" for a in ROLES)
    yield from (f"main.{c}" for c in _AROUND)
    for role in ("init", "before", "after"):
        yield from (f"{role}.{c}" for c in ("cycles", "step", "widened", "packed"))
    yield "others.cycles"
    yield from (f"program.{c}" for c in ("main", "cycles", "memory", "both", "longer"))


_REGION = ("lanes", "widened", "packed", "grown", "executions", "issued", "reduction", "cost")
_AROUND = (
    *("stays", "returns", "unrolled", "around.bytes"),
    *("invariant", "moving", "stores", "live", "spilled", "scattered", "local"),
    *("loads_each", "stores_each", "chain", "ports", "step", "bytes", "crowded"),
)


def from_drawn(drawn: Drawn) -> Sequence[NDArray[np.float32]]:
    """One ``1 x len(COLUMNS)`` array a program that was drawn."""
    return [np.array([row(program)], np.float32) for program in drawn.nests]


def extract(modules: Iterable[Any]) -> NDArray[np.float32]:
    """One row a scheduled module, `n x len(COLUMNS)`, always finite.

    Args:
        modules: ``schedule.mod`` of each program: an ``IRModule`` with one ``main`` function.
    """
    rows = [row(read(module)) for module in modules]
    return np.array(rows, dtype=np.float32).reshape(-1, len(COLUMNS))


def row(program: Program) -> list[float]:
    """The columns of one program."""
    statements = program.statements
    if not statements:
        return [ABSENT] * len(COLUMNS)
    unrolled = unrolled_loops(statements)
    main, groups = program.roles()
    code = Code(main, unrolled)
    values = _main(code)
    cycles, memory, seen = code.cycles, code.memory, {id(main)}
    for group in groups:
        codes = [Code(s, unrolled) for s in group]
        seen.update(map(id, group))
        total = sum(c.cycles for c in codes)
        cycles, memory = cycles + total, memory + sum(c.memory for c in codes)
        if codes:
            most = max(codes, key=lambda c: c.cycles)
            values += [_cycles(total / main.iterations), _cycles(most.step)]
            values += [float(most.widened is not None), log2(most.packed)]
        else:
            values += [NO_CYCLES, NO_CYCLES, ABSENT, ABSENT]
    others = sum(Code(s, unrolled).cycles for s in statements if id(s) not in seen)
    cycles += others
    parts = (others, code.cycles, cycles, memory, cycles + memory, max(cycles, memory))
    return values + [_cycles(part / main.iterations) for part in parts]


def _main(code: Code) -> list[float]:
    nest, region, loops = code.nest, code.region, code.nest.loops
    reduces = nest.statement.reduces
    lanes = code.lanes if code.lanes > 1 else LANES if code.widened is not None else code.packed
    values = [
        float(min(lanes, 64)),
        float(code.widened is not None),
        log2(code.packed),
        float(code.grown),
        *(log2(1 + x) for x in (code.executions, code.issued)),
        log2(code.reduction),
        log2(1 + code.cost(region)),
        *(log2(1 + v) for v in [*code.vectors, 0.0, 0.0][: len(ROLES)]),
        *(log2(1 + code.run(k)) if k < len(nest.strides) else 0.0 for k in range(len(ROLES))),
    ]
    if region < len(loops):
        hot = loops[region]
        values += [log2(hot.extent), float(hot.number in reduces), float(hot.kind)]
        values.append(float(code.widened == region))
        strides = [*nest.strides, [], []][: len(ROLES)]
        values += [stride(s[region]) if s else ABSENT for s in strides]
        values += [log2(code.stays), log2(code.returns), log2(code.copies)]
        values.append(log2(1 + nest.lines[region + 1] * LINE))
    else:
        values += [0.0, *(10 * [ABSENT])]
    counts = (code.invariant, code.moving, code.stores, code.live, code.spilled, code.scattered)
    return [
        *values,
        *(log2(1 + x) for x in counts),
        float(nest.statement.store.buffer.local),
        log2((1 + code.loads) / (1 + code.issued)),
        log2((1 + code.stores) / (1 + code.issued)),
        *(_cycles(x) for x in (code.chain / code.executions, code.ports, code.step)),
        log2(1 + nest.lines[region] * LINE),
        log2(code.crowded),
    ]


def _cycles(cycles: float) -> float:
    return log2(max(cycles, 2.0**NO_CYCLES))


#: Names of the columns.
COLUMNS: tuple[str, ...] = tuple(_names())

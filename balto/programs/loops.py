"""Feature set ``loops``: the loop nests of a scheduled program, one row a program.

These columns say what a compiler's back end sees of a schedule, of which per-store features give
only sums: which loop is innermost and at which stride it walks every buffer, how many accumulators
live inside a reduction, what is really unrolled, how much cache each level of tiles needs, and how
the statements around the main one (padding, initialisation, write-back) are placed and computed.

Four statements are described: *main*, which computes most; *init*, which stores to the same buffer
before it; *before*, the largest that computes what main loads; and *after*, the largest that loads
what main stores. Columns of a statement that is not there are `ABSENT`. All counts are
``log2(1 + x)`` and all ratios ``log2``; `docs/features.md` explains every column.

Runs where TVM is loaded, on ``schedule.mod`` as MetaSchedule's postprocessors left it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import log2, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.programs.extract import Drawn
from balto.programs.footprints import LINE, ROLES, Nest, straight, unrolled_loops
from balto.programs.nests import (
    OPERATIONS,
    PARALLEL,
    THREAD,
    UNROLLED,
    VECTORIZED,
    Loop,
    Program,
    Statement,
    read,
)

#: Name of the feature set, and the version of what its columns mean.
NAME, VERSION = "loops", 1
#: The value of columns that describe what a program does not have.
ABSENT = -1.0
#: Innermost loops of the main statement, and of the others, that have columns of their own.
MAIN_LOOPS, OTHER_LOOPS = 5, 3
#: Innermost loops of the main statement whose strides have columns.
STRIDES = 2
#: Dimensions, from the last, to which a band's extent is told apart; the others share a column.
DIMENSIONS = 2
#: Bands of the main statement: spatial, reduction, spatial, ... from the innermost.
BANDS = 5
#: Capacities in bytes to which traffic is modelled: vector registers, and caches.
CAPACITIES = (512, 16 << 10, 128 << 10, 1 << 20)


def _names() -> Iterable[str]:
    for k in range(MAIN_LOOPS):
        yield from (f"main.loop{k}.{c}" for c in ("extent", "reduces", "kind"))
        if k < STRIDES:
            yield from (f"main.loop{k}.stride.{a}" for a in ROLES)
        yield from (f"main.loop{k}.elements.{a}" for a in ROLES)
        yield f"main.loop{k}.bytes"
    for k in range(BANDS):
        yield f"main.band{k}.extent"
        yield from (f"main.band{k}.dimension{d}" for d in range(DIMENSIONS))
        yield f"main.band{k}.dimensions"
        yield from (f"main.band{k}.elements.{a}" for a in ROLES)
        yield from (f"main.band{k}.{c}" for c in ("bytes", "intensity"))
    yield from (f"main.{c}" for c in _MAIN)
    yield from (f"main.traffic.{c}" for c in CAPACITIES)
    yield from (f"main.{c}" for c in OPERATIONS)
    for role in ("init", "before", "after"):
        for k in range(OTHER_LOOPS):
            yield from (f"{role}.loop{k}.{c}" for c in ("extent", "kind"))
            yield from (f"{role}.loop{k}.stride.{a}" for a in ROLES[:2])
        yield from (f"{role}.{c}" for c in _OTHER)
    yield from (f"program.{c}" for c in _PROGRAM)


_MAIN = (
    *("loops", "iterations", "work", "lanes", "lanes_odd", "unit_stride", "unroll_limit"),
    *("copies", "accumulators", "vectors", "inner_loads", "reuse", "resident", "hot.extent"),
    *("hot.reduces", "hot.stride.store", "hot.stride.load1", "hot.stride.load2", "hot.body"),
    *("control", "parallel", "guarded", "stored_bytes", "init_depth"),
    *("region.store", "region.load1", "region.load2", "region.vectors", "region.reuse"),
    *("region.reduction", "left.reduction", "around.store", "around.load1", "around.load2"),
    *("condition.open", "condition.extent", "condition.inside", "condition.vector"),
)
_OTHER = (
    *(
        "iterations",
        "share",
        "recomputed",
        "lanes",
        "lanes_odd",
        "copies",
        "shared_loops",
        "shared_extent",
    ),
    *("guarded", "select", "buffer_bytes", "control", "parallel"),
    *("condition.open", "condition.extent", "condition.inside", "condition.vector"),
)
_PROGRAM = (
    *("statements", "work", "iterations", "parallel_regions", "local_bytes", "unrolled_copies"),
    *("vectorized", "block_threads", "grid_blocks", "warp_threads", "shared_bytes"),
    *("register_bytes", "intrinsics", "virtual_threads"),
)


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
    main, around = program.roles()
    values = _main(Nest(main), unrolled, around[0])
    total = sum(s.iterations for s in statements)
    for others in around:
        if others:
            other = max(others, key=lambda s: s.iterations)
            values += _other(Nest(other), main, unrolled, total)
        else:
            values += [ABSENT] * (4 * OTHER_LOOPS + len(_OTHER))
    return values + _whole(program, unrolled)


def _main(nest: Nest, unrolled: set[int], init: list[Statement]) -> list[float]:
    ends = _band_ends(nest)
    return [
        *_innermost(nest, unrolled),
        *_bands(nest, ends),
        *_whole_nest(nest, unrolled),
        *_tile(nest, unrolled, ends[0]),
        *_around(nest, unrolled, init),
        *(log2((1 + nest.traffic(c)) / (1 + nest.statement.work)) for c in CAPACITIES),
        *(float(nest.statement.operations.get(name, 0)) for name in OPERATIONS),
    ]


def _innermost(nest: Nest, unrolled: set[int]) -> list[float]:
    """Each of the innermost loops: extent, kind and strides, and what is touched within it."""
    count = len(nest.loops)
    values: list[float] = []
    for k in range(MAIN_LOOPS):
        if k >= count:
            values += [0.0, ABSENT, ABSENT]
            values += [ABSENT] * (len(ROLES) * (k < STRIDES))
        else:
            loop = nest.loops[k]
            values += [log2(loop.extent), float(loop.number in nest.statement.reduces)]
            values.append(_kind(loop, unrolled))
            if k < STRIDES:
                values += [stride(s[k]) if s else ABSENT for s in _three(nest.strides)]
        within = min(k + 1, count)
        values += [log2(1 + e[within]) if e else ABSENT for e in _three(nest.elements)]
        values.append(log2(1 + nest.lines[within] * LINE))
    return values


def _band_ends(nest: Nest) -> list[int]:
    """Where each band ends: a maximal run of spatial or reduction loops, the first one spatial.

    The first one may be empty. Loops that run in parallel or over threads are outside of all tiles:
    the last band has them and all that is left.
    """
    loops, reduces = nest.loops, nest.statement.reduces
    outside = (k for k, x in enumerate(loops) if x.kind in (PARALLEL, THREAD))
    sequential = next(outside, len(loops))
    ends, k = [], 0
    for band in range(BANDS - 1):
        while k < sequential and (loops[k].number in reduces) == bool(band % 2):
            k += 1
        ends.append(k)
    return [*ends, len(loops)]


def _bands(nest: Nest, ends: list[int]) -> list[float]:
    """Each band: its extents, what is touched within it, and iterations a byte of that."""
    values: list[float] = []
    for band, (first, k) in enumerate(pairwise([0, *ends])):
        extent = prod(loop.extent for loop in nest.loops[first:k])
        inside = prod(loop.extent for loop in nest.loops[:k])
        values += [log2(extent), *_by_dimension(nest, nest.loops[first:k], band)]
        values += [log2(1 + e[k]) if e else ABSENT for e in _three(nest.elements)]
        values += [log2(1 + nest.lines[k] * LINE), log2(inside / (1 + nest.size[k]))]
    return values


def _whole_nest(nest: Nest, unrolled: set[int]) -> list[float]:
    """How much is computed, in vectors of how many lanes, in how many unrolled copies."""
    statement, loops = nest.statement, nest.loops
    lanes, copies, _ = straight(nest, unrolled)
    unit = loops and sum(abs(s[0]) <= 1 for s in nest.strides)
    return [
        float(len(loops)),
        log2(1 + statement.iterations),
        log2(1 + statement.work),
        float(lanes),
        log2(lanes / (lanes & -lanes)),
        float(unit or 0),
        log2(1 + max((x.unroll for x in statement.loops), default=0)),
        log2(copies),
    ]


def _tile(nest: Nest, unrolled: set[int], tile: int) -> list[float]:
    """The `tile` loops inside of the reduction: accumulators, and loads that they share."""
    loops = nest.loops
    lanes, _, hot = straight(nest, unrolled)
    resident = all(x.kind == VECTORIZED or x.number in unrolled for x in loops[:tile])
    accumulators = nest.elements[0][tile]
    loaded = sum(e[tile] for e in nest.elements[1:])
    return [
        log2(1 + accumulators),
        log2(1 + accumulators / lanes),
        log2(1 + loaded),
        log2(prod(x.extent for x in loops[:tile]) / (1 + loaded)),
        float(resident),
        *_hot(nest, hot),
        log2(1 + prod(x.extent for x in loops[:hot])),
    ]


def _around(nest: Nest, unrolled: set[int], init: list[Statement]) -> list[float]:
    """Control, parallel loops, guards, initialisation, straight code and conditions."""
    statement, buffer = nest.statement, nest.statement.store.buffer
    lanes, _, hot = straight(nest, unrolled)
    return [
        _control(nest, unrolled),
        log2(prod(x.extent for x in nest.loops if x.kind == PARALLEL)),
        float(statement.guarded),
        log2(1 + prod(buffer.shape) * buffer.bytes),
        float(_shared(init[-1], statement)) if init else ABSENT,
        *_region(nest, hot, lanes),
        *_conditions(nest, unrolled),
    ]


def _by_dimension(nest: Nest, loops: list[Loop], band: int) -> list[float]:
    """Extents of a band's loops by the dimension that they move, from the last.

    Of the store where the band is spatial, of the first load where it is a reduction.
    """
    statement = nest.statement
    access = statement.loads[0] if band % 2 and statement.loads else statement.store
    extents = [0.0] * (DIMENSIONS + 1)
    numbers = {x.number: x.extent for x in loops}
    place: dict[int, int] = {}
    for d, form in enumerate(reversed(access.index)):
        for number, _, _ in form:
            if number in numbers:
                place.setdefault(number, min(d, DIMENSIONS))
    for number, extent in numbers.items():
        extents[place.get(number, DIMENSIONS)] += log2(extent)
    return extents


def _other(nest: Nest, main: Statement, unrolled: set[int], total: int) -> list[float]:
    statement, loops = nest.statement, nest.loops
    values: list[float] = []
    for k in range(OTHER_LOOPS):
        if k < len(loops):
            values += [log2(loops[k].extent), _kind(loops[k], unrolled)]
            values += [stride(s[k]) if s else ABSENT for s in _three(nest.strides)[:2]]
        else:
            values += [0.0, ABSENT, ABSENT, ABSENT]
    lanes, copies, _ = straight(nest, unrolled)
    shared = _shared(statement, main)
    buffer = statement.store.buffer
    values += [
        log2(1 + statement.iterations),
        log2(statement.iterations / total),
        log2(statement.iterations / nest.elements[0][-1]),
        float(lanes),
        log2(lanes / (lanes & -lanes)),
        log2(copies),
        float(sum(x.extent > 1 for x in main.loops[:shared])),
        log2(prod(x.extent for x in main.loops[:shared])),
        float(statement.guarded),
        float(statement.operations.get("select", 0)),
        log2(1 + prod(buffer.shape) * buffer.bytes),
        _control(nest, unrolled),
        log2(prod(x.extent for x in loops if x.kind == PARALLEL)),
        *_conditions(nest, unrolled),
    ]
    return values


def _whole(program: Program, unrolled: set[int]) -> list[float]:
    statements = program.statements
    buffers = {id(b): b for s in statements for b in (s.store.buffer,) if b.local}.values()

    def bytes_of(scope: str) -> float:
        sizes = (prod(b.shape) * b.bytes for b in buffers if b.scope.startswith(scope))
        return log2(1 + sum(sizes))

    threads: dict[str, int] = {}
    for loop in program.loops:
        if loop.kind == THREAD:
            threads[loop.thread] = max(threads.get(loop.thread, 1), loop.extent)

    def extent(*prefixes: str) -> float:
        return log2(prod(n for tag, n in threads.items() if tag.startswith(prefixes)))

    copies = [
        prod(x.extent for x in s.loops if x.number in unrolled or x.kind == VECTORIZED)
        for s in statements
    ]
    return [
        float(len(statements)),
        log2(1 + sum(s.work for s in statements)),
        log2(1 + sum(s.iterations for s in statements)),
        float(sum(x.kind == PARALLEL for x in program.loops)),
        bytes_of("global"),
        log2(1 + sum(copies)),
        sum(any(x.kind == VECTORIZED for x in s.loops) for s in statements) / len(statements),
        extent("threadIdx"),
        extent("blockIdx"),
        extent("threadIdx.x"),
        bytes_of("shared"),
        log2(2 ** bytes_of("local") + 2 ** bytes_of("wmma") + 2 ** bytes_of("m16n8k8")),
        float(sum("intrinsic" in s.operations for s in statements)),
        extent("vthread"),
    ]


def _hot(nest: Nest, hot: int) -> list[float]:
    """Extent, kind and strides of the innermost loop that is really a loop."""
    if hot >= len(nest.loops):
        return [0.0, *(4 * [ABSENT])]
    loop = nest.loops[hot]
    values = [log2(loop.extent), float(loop.number in nest.statement.reduces)]
    return values + [stride(s[hot]) if s else ABSENT for s in _three(nest.strides)]


def _region(nest: Nest, hot: int, lanes: int) -> list[float]:
    """The straight code inside the innermost loop that is one: what it touches, and reuses."""
    loops, reduces = nest.loops, nest.statement.reduces
    inside, around = loops[:hot], min(hot + 1, len(loops))
    touched = sum(e[hot] for e in nest.elements)
    return [
        *(log2(1 + e[hot]) if e else ABSENT for e in _three(nest.elements)),
        log2(1 + nest.elements[0][hot] / lanes),
        log2(prod(x.extent for x in inside) / touched),
        log2(prod(x.extent for x in inside if x.number in reduces)),
        log2(prod(x.extent for x in loops[hot:] if x.number in reduces)),
        *(log2(1 + e[around]) if e else ABSENT for e in _three(nest.elements)),
    ]


def _conditions(nest: Nest, unrolled: set[int]) -> list[float]:
    """What conditions cost: those of unrolled loops alone are decided when compiling."""
    conditions = nest.statement.conditions
    still = [
        k for k, x in enumerate(nest.loops) if x.number in conditions and x.number not in unrolled
    ]
    if not conditions:
        return [ABSENT] * 4
    inner = nest.loops[: still[0]] if still else nest.loops
    return [
        float(len(still)),
        log2(prod(nest.loops[k].extent for k in still)),
        log2(prod(x.extent for x in inner)),
        float(any(nest.loops[k].kind == VECTORIZED for k in still)),
    ]


def _control(nest: Nest, unrolled: set[int]) -> float:
    """Iterations of loops that stay loops, for one execution of the statement."""
    around, total = 1, 0
    for loop in reversed(nest.loops):
        if loop.kind != VECTORIZED and loop.number not in unrolled:
            around *= loop.extent
            total += around
    return log2((1 + total) / nest.statement.iterations)


def _shared(statement: Statement, main: Statement) -> int:
    """How many outer loops two statements have in common."""
    shared = 0
    for a, b in zip(statement.loops, main.loops, strict=False):
        if a is not b:
            break
        shared += 1
    return shared


def _kind(loop: Loop, unrolled: set[int]) -> float:
    return float(UNROLLED if loop.number in unrolled else loop.kind)


def stride(elements: float) -> float:
    """0 for what a loop does not move, 1 for the next element, then the logarithm."""
    return log2(1 + abs(elements))


def _three(lists: list[list[float]]) -> list[list[float]]:
    return [*lists, [], []][:3]


#: Names of the columns.
COLUMNS: tuple[str, ...] = tuple(_names())


def from_drawn(drawn: Drawn) -> Sequence[NDArray[np.float32]]:
    """One ``1 x len(COLUMNS)`` array a program that was drawn."""
    return [np.array([row(program)], np.float32) for program in drawn.nests]

"""Feature set ``cycles``: what a compiler makes of the loop nests, and the cycles that takes.

`balto.programs.loops` says what the schedule asks for. Between that and a latency stands LLVM: it
unrolls small loops that TVM left alone, vectorises what TVM did not, keeps a reduction's
accumulators in registers or does not, and spills what does not fit. This is a plain model of that,
with rules found by comparing schedules with LLVM's assembly for AVX2: which loops become straight
code, in how many vector instructions, with how many registers, loads and stores; and, from what a
core can issue in a cycle, how long each statement takes. Within a task the estimate alone has a
rank correlation with the latency of .7 on average; what it gets wrong, a cost model learns
(`docs/features.md`).

There are `REGISTERS` vector registers of `LANES` floats whatever the target is: one description of
all targets, so that what is learnt on one is of use on another. Counts are ``log2(1 + x)``, and
cycles ``log2`` of the cycles for one execution of the main statement.

Runs where TVM is loaded, on ``schedule.mod`` as MetaSchedule's postprocessors left it.

.. [AMD]
    Software Optimization Guide for the AMD Zen4 Microarchitecture, 57647, 2023.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import gcd, log2, prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.programs.extract import Drawn
from balto.programs.footprints import LINE, ROLES, Nest, straight, unrolled_loops
from balto.programs.loops import ABSENT, stride
from balto.programs.nests import SERIAL, VECTORIZED, Program, Statement, read

#: Name of the feature set, and the version of what its columns mean.
NAME, VERSION = "cycles", 1
#: The logarithm that stands for no cycles at all.
NO_CYCLES = -10.0

# Constants of LLVM.
#: Instructions up to which it unrolls a loop whole: its option ``unroll-threshold-aggressive``.
WHOLE_UNROLL = 300
#: Instructions up to which it copies the body of a loop: ``PartialThreshold`` of its loop unroller.
PARTIAL_UNROLL = 150

# Constants of the core. One description serves all targets: that of Zen 3 and 4 ([AMD]_) with AVX2.
#: Floats in a vector register, and the registers there are.
LANES, REGISTERS = 8, 16
#: Multiplications or additions, loads, and stores of whole vectors that begin in a cycle.
ARITHMETIC_PORTS, LOAD_PORTS, STORE_PORTS = 2, 2, 1
#: Sets of the first cache, and lines that stay in it: 32 KiB in eight ways.
SETS, RESIDENT = 64, 512
#: Cycles from an addition to the next one that needs its result. A multiply-add takes one more,
#: where there is one.
CHAIN = 3.0

# Constants that were fitted to the rank correlation of the estimate with the latency, on six pools.
# `experiments/fit_cycles.py` tries others: on 57 tasks of these pools (.697) no value from half to
# twice brings more than its standard error twice over, but a smaller `TURN` does (.25: +.0026 ±
# .0008). `DIVIDE` and `MATH` change nothing there.
#: Instructions up to which LLVM unrolls a loop whole before it vectorises: half of what its option
#: says (300 here too would be -.0034 ± .0042).
EARLY_UNROLL = 150
#: Iterations from which on LLVM vectorises a loop.
SHORTEST = 8
#: Neighbouring elements of straight code that it joins to a vector, at most.
PACKED = 4
#: Registers that hold operands on their way, and so no accumulators.
OPERANDS = 2
#: Vectors of accumulators above which odd ones are taken apart.
APART = 8
#: Cycles for each accumulator that is taken apart.
SCATTER = 1.5
#: Instructions that begin in a cycle, whatever they are.
WIDTH = 5
#: Instructions for a step of a loop: count, compare and jump.
STEP = 2
#: Cycles for a step of the hot loop beside its body, and for entering and leaving it.
TURN, ENTER = 0.5, 4.0
#: Cycles for each vector of accumulators that is loaded before the hot loop and stored after it.
RETURN = 2
#: Instructions of a selection, a division, and a function such as ``exp``.
SELECT, DIVIDE, MATH = 3, 8, 20
#: Bytes that are taken to stay in the first and the second cache, and bytes a cycle past each.
CACHES = ((24 << 10, 128), (400 << 10, 64))


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


class Code:
    """What LLVM makes of one statement, and how long that takes.

    Attributes:
        nest: its loops.
        lanes: floats in TVM's own vectors; 1 where it has none.
        region: how many of the innermost loops become straight code. The loop around them is the
            *hot* one.
        grown: how many of these loops LLVM unrolled, and not TVM.
        widened: place of the loop that LLVM vectorises; None if there is none.
        packed: neighbouring elements of straight code that it joins to a vector; 1 for none.
        executions: of the statement, in the region.
        issued: vector instructions for these executions.
        vectors: how many each access touches in the region, the store first.
        reduction: iterations of reduction in the region.
        kept: whether accumulators stay in registers throughout the hot loop.
        invariant: vectors that are loaded before the hot loop, and once.
        moving: vectors that are loaded in every step of the hot loop.
        stores: vectors that a step of the hot loop stores.
        loads: vectors that a step of the hot loop loads, spilled ones included.
        live: vector registers needed throughout the hot loop.
        spilled: of these, how many exceed the registers there are.
        stays: iterations, of the hot loop and those around it, for which accumulators are kept.
        returns: iterations of reduction around these, for each of which accumulators come back.
        scattered: accumulators whose vectors are taken apart.
        chain: cycles of one step of the hot loop if only waiting for accumulators mattered.
        ports: cycles for one execution if only the number of instructions mattered.
        step: cycles for one execution of the statement.
    """

    def __init__(self, statement: Statement, unrolled: set[int]) -> None:
        self.nest = nest = Nest(statement)
        self.lanes, _, self.region = straight(nest, unrolled)
        self.widened: int | None = None
        first, loops = self.region, nest.loops
        self._grow(EARLY_UNROLL)
        if self._is_widened(self.region):
            self.widened = self.region
        self._grow(WHOLE_UNROLL)
        self.grown = self.region - first
        self.packed = self._packed()
        self.executions = prod(x.extent for x in loops[: self.region])
        issued, vectors = self._issued(self.region)
        self.issued = issued / self.packed
        self.vectors = [
            v / self.packed if self.run(k) >= self.packed else v for k, v in enumerate(vectors)
        ]
        self._estimate()

    def _issued(self, region: int) -> tuple[float, list[float]]:
        """Vector instructions, and vectors of each access, if so many loops are straight code."""
        loops, parts = self.nest.loops, _parts(self.lanes)
        inside = self.widened is not None and self.widened < region
        vectors = []
        for elements, strides in zip(self.nest.elements, self.nest.strides, strict=True):
            count = elements[region]
            if self.lanes > 1:
                own = [abs(strides[k]) for k in range(region) if loops[k].kind == VECTORIZED]
                if any(own):
                    count *= (parts if max(own) <= 1 else self.lanes) / self.lanes
            elif inside and strides[self.widened or 0]:
                count /= LANES
            vectors.append(count)
        executions = prod(x.extent for x in loops[:region])
        return executions / self.lanes * parts / (LANES if inside else 1), vectors

    def cost(self, region: int) -> float:
        """Instructions of the region, about as LLVM counts them.

        A multiplication and an addition for each execution, and what is loaded and stored.
        """
        issued, vectors = self._issued(region)
        return 2 * issued + vectors[0] + sum(vectors)

    def _grow(self, most: float) -> None:
        """Unroll serial loops, from the innermost, while the code stays small."""
        loops = self.nest.loops
        while (
            self.region < len(loops)
            and loops[self.region].kind == SERIAL
            and self.cost(self.region + 1) <= most
        ):
            self.region += 1

    def _is_widened(self, place: int) -> bool:
        """Whether LLVM vectorises this loop: a long one that walks every access by one element."""
        nest = self.nest
        if self.lanes > 1 or place >= len(nest.loops):
            return False
        loop, store = nest.loops[place], nest.strides[0]
        return (
            loop.kind == SERIAL
            and loop.extent >= SHORTEST
            and loop.number not in nest.statement.reduces
            and abs(store[place]) == 1
            and all(abs(strides[place]) <= 1 for strides in nest.strides)
        )

    def _packed(self) -> int:
        if self.lanes > 1 or self.widened is not None:
            return 1
        run = self.run(0)
        return next(n for n in (PACKED, PACKED // 2, 1) if run % n == 0)

    def run(self, access: int) -> int:
        """Elements in a row that the region touches of an access, from the innermost stride on."""
        strides, length = self.nest.strides[access], 1
        inside = range(self.region)
        for step, extent in sorted(
            (abs(strides[k]), self.nest.loops[k].extent) for k in inside if strides[k]
        ):
            if step > length:
                break
            length = max(length, int(step * (extent - 1) + length))
        return length

    def _estimate(self) -> None:
        self._find_what_stays()
        self._find_traffic()
        self._find_cycles()

    def _find_what_stays(self) -> None:
        """What the hot loop keeps in registers, and for how long."""
        nest, region, vectors = self.nest, self.region, self.vectors
        loops, reduces = nest.loops, nest.statement.reduces
        moves = [s[region] if region < len(loops) else 1.0 for s in nest.strides]
        self.reduction = prod(x.extent for x in loops[:region] if x.number in reduces)
        self.kept = nest.statement.accumulates and moves[0] == 0
        self.invariant = sum(v for v, m in zip(vectors[1:], moves[1:], strict=True) if not m)
        self.moving = sum(v for v, m in zip(vectors[1:], moves[1:], strict=True) if m)
        self.live = self.invariant + (vectors[0] if self.kept or self.reduction > 1 else 0.0)
        self.spilled = max(0.0, self.live - (REGISTERS - OPERANDS))
        self.stays, place = 1, region
        while place < len(loops) and nest.strides[0][place] == 0:
            self.stays *= loops[place].extent
            place += 1
        self.returns = prod(x.extent for x in loops[place:] if x.number in reduces)

    def _find_traffic(self) -> None:
        """What a step of the hot loop loads, stores and takes apart."""
        written = self.vectors[0]
        self.stores = 0.0 if self.kept else written
        again = written if self.nest.statement.accumulates and not self.kept else 0.0
        self.loads = self.moving + again + min(self.spilled, self.invariant)
        # Vectors of 12, 24 or 48 floats that go around a loop are taken apart, element by element.
        odd = self.lanes > LANES and self.lanes & (self.lanes - 1)
        apart = self.kept and odd and written > APART
        self.scattered = self.nest.elements[0][self.region] if apart else 0.0

    def _find_cycles(self) -> None:
        """How long a step of the hot loop takes: as long as what there is most of."""
        loops, written = self.nest.loops, self.vectors[0]
        arithmetic = self.issued * max(1, _arithmetic(self.nest.statement))
        busy = max(arithmetic / ARITHMETIC_PORTS, self.loads / LOAD_PORTS)
        stored = (self.stores + max(0.0, self.spilled - self.invariant)) / STORE_PORTS
        slots = (arithmetic + self.loads + self.stores + STEP) / WIDTH
        self.chain = CHAIN * self.issued / max(1.0, written) if self.kept else 0.0
        cycles = max(busy, stored, self.chain, slots)
        cycles += SCATTER * self.scattered
        if self.region < len(loops):
            cycles += TURN + ENTER / loops[self.region].extent
        if self.kept:
            cycles += RETURN * written / self.stays
        # The vectorised loop itself does `LANES` executions of the region in a step.
        executions = self.executions * (LANES if self.widened == self.region else 1)
        self.step = cycles / executions
        self.ports = max(busy, self.stores / STORE_PORTS) / executions

    @property
    def cycles(self) -> float:
        """Of all executions of the statement."""
        return self.step * self.nest.statement.iterations

    @property
    def memory(self) -> float:
        """Cycles that its traffic between the caches takes."""
        total = 0.0
        for capacity, bandwidth in CACHES:
            total += self.nest.traffic(capacity) / bandwidth
        return total

    @property
    def crowded(self) -> float:
        """Lines for each set of the first cache that they fall into, of the worst access.

        Within the innermost loops whose lines should all stay in that cache; strides of a power of
        two fall into few sets.
        """
        nest, k, worst = self.nest, 0, 1.0
        while k < len(nest.loops) and nest.lines[k + 1] <= RESIDENT:
            k += 1
        accesses = (nest.statement.store, *nest.statement.loads)
        for access, strides in zip(accesses, nest.strides, strict=False):
            lines, step = 1, SETS * LINE
            for loop, elements in zip(nest.loops[:k], strides, strict=False):
                bytes_ = abs(elements) * access.buffer.bytes
                if bytes_ >= LINE:
                    lines *= loop.extent
                    step = gcd(int(bytes_), step)
            worst = max(worst, lines / min(lines, SETS * LINE // max(step, LINE)))
        return worst


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
        copies = 1
        while hot.extent % (2 * copies) == 0 and code.cost(region) * 2 * copies <= PARTIAL_UNROLL:
            copies *= 2
        values += [log2(hot.extent), float(hot.number in reduces), float(hot.kind)]
        values.append(float(code.widened == region))
        strides = [*nest.strides, [], []][: len(ROLES)]
        values += [stride(s[region]) if s else ABSENT for s in strides]
        values += [log2(code.stays), log2(code.returns), log2(copies)]
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


def _parts(lanes: int) -> int:
    """Registers that a vector of so many floats is split over: full ones, then halves of them."""
    return max(1, lanes // LANES + (lanes % LANES).bit_count())


def _arithmetic(statement: Statement) -> int:
    """Instructions of one execution; a multiplication and an addition are one."""
    count = statement.operations.get
    fused = max(count("add", 0), count("multiply", 0))
    rare = SELECT * count("select", 0) + DIVIDE * count("divide", 0) + MATH * count("math", 0)
    return fused + count("compare", 0) + rare


def _cycles(cycles: float) -> float:
    return log2(max(cycles, 2.0**NO_CYCLES))


#: Names of the columns.
COLUMNS: tuple[str, ...] = tuple(_names())

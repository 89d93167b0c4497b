"""What LLVM makes of one statement, and how many cycles that takes: a plain model with rules.

The rules were found by comparing schedules with LLVM's assembly for AVX2. There are `REGISTERS`
vector registers of `LANES` floats whatever the target is: one description of all targets, so that
what is learnt on one is of use on another.

.. [AMD2023]
    AMD. Software optimization guide for the AMD Zen4 microarchitecture. Publication 57647, 2023.
"""

from __future__ import annotations

from math import gcd, prod

from balto.programs.footprints import LINE, Nest, straight
from balto.programs.nests import SERIAL, VECTORIZED, Statement

# Constants of LLVM.
#: Instructions up to which it unrolls a loop whole: its option ``unroll-threshold-aggressive``.
WHOLE_UNROLL = 300
#: Instructions up to which it copies the body of a loop: ``PartialThreshold`` of its loop unroller.
PARTIAL_UNROLL = 150

# Constants of the core. One description serves all targets: Zen 3 and 4 with AVX2 [AMD2023]_.
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
    def copies(self) -> int:
        """Copies of the region that LLVM makes of the hot loop, where there is one."""
        copies, extent = 1, self.nest.loops[self.region].extent
        while extent % (2 * copies) == 0 and self.cost(self.region) * 2 * copies <= PARTIAL_UNROLL:
            copies *= 2
        return copies

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


def _parts(lanes: int) -> int:
    """Registers that a vector of so many floats is split over: full ones, then halves of them."""
    return max(1, lanes // LANES + (lanes % LANES).bit_count())


def _arithmetic(statement: Statement) -> int:
    """Instructions of one execution; a multiplication and an addition are one."""
    count = statement.operations.get
    fused = max(count("add", 0), count("multiply", 0))
    rare = SELECT * count("select", 0) + DIVIDE * count("divide", 0) + MATH * count("math", 0)
    return fused + count("compare", 0) + rare

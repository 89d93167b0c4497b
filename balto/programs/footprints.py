"""What a statement touches within each of its loops, and which of them TVM unrolls."""

from __future__ import annotations

from math import prod

from balto.programs.nests import SERIAL, UNROLLED, VECTORIZED, Access, Statement

#: Accesses whose strides and elements are kept apart: the store and the first two loads.
ROLES = ("store", "load1", "load2")
#: Bytes of a cache line.
LINE = 64


class Nest:
    """One statement's loops of more than one iteration, innermost first, and what they touch.

    Attributes:
        statement: the statement.
        loops: its `n` loops, innermost first.
        strides: of the store and the first two loads, elements a step of each loop.
        elements: the same, distinct elements within the `0` to `n` innermost loops.
        lines: of all accesses, cache lines within the `0` to `n` innermost loops.
        size: of all accesses, bytes within the `0` to `n` innermost loops.
    """

    def __init__(self, statement: Statement) -> None:
        self.statement = statement
        self.loops = statement.iterated[::-1]
        self.strides: list[list[float]] = []
        self.elements: list[list[float]] = []
        self.lines = [0.0] * (len(self.loops) + 1)
        self.size = [0.0] * (len(self.loops) + 1)
        place = {loop.number: k for k, loop in enumerate(self.loops)}
        for access in (statement.store, *statement.loads):
            self._walk(access, place)

    def traffic(self, capacity: float) -> float:
        """Bytes that are moved into a cache of so many bytes, which holds the innermost loops."""
        k = 0
        while k < len(self.loops) and self.size[k + 1] <= capacity:
            k += 1
        return self.lines[k] * LINE * prod(x.extent for x in self.loops[k:])

    def _walk(self, access: Access, place: dict[int, int]) -> None:
        shape, size = access.buffer.shape, access.buffer.bytes
        count = len(self.loops)
        strides, digit = [0.0] * count, [0] * count
        reach: list[list[tuple[int, float]]] = [[] for _ in range(count)]
        step = 1
        for d in range(len(shape) - 1, -1, -1):
            for (number, lower, extent), c in access.index[d].items():
                k = place.get(number, -1)
                if k < 0:
                    continue
                reach[k].append((d, abs(c) * (extent - 1)))
                if not digit[k] or lower < digit[k]:
                    strides[k], digit[k] = c * step / lower, lower
                elif lower == digit[k]:
                    strides[k] += c * step / lower
            step *= shape[d]
        span: list[float] = [min(a, b) for a, b in zip(access.size, shape, strict=True)]
        elements = [float(prod(span))]
        self._count(0, span, shape, size, elements[0])
        ways = elements[0]
        for k in range(count):
            for d, r in reach[k]:
                span[d] = min(span[d] + r, shape[d])
            ways *= self.loops[k].extent
            elements.append(min(prod(span), ways) if reach[k] else elements[-1])
            self._count(k + 1, span, shape, size, elements[-1])
        if len(self.strides) < len(ROLES):
            self.strides.append(strides)
            self.elements.append(elements)

    def _count(
        self, k: int, span: list[float], shape: list[int], size: int, elements: float
    ) -> None:
        run, d = 1.0, len(span)
        while d > 0:  # rows that are touched whole join up
            d -= 1
            run *= span[d]
            if span[d] < shape[d]:
                break
        rows = prod(span[:d])
        self.lines[k] += min(rows * (1 + (run * size - 1) // LINE), elements)
        self.size[k] += elements * size


def unrolled_loops(statements: list[Statement]) -> set[int]:
    """Numbers of the loops that TVM's ``UnrollLoop`` unrolls under the annotated step limits."""
    found: set[int] = set()

    def visit(below: list[Statement], depth: int, limit: int) -> tuple[int, bool]:
        """Steps of some statements below `depth` loops, and whether a loop is left in them."""
        steps, looped, k = 0, False, 0
        while k < len(below):
            if depth >= len(below[k].loops):
                steps, k = steps + 1, k + 1
                continue
            loop, first = below[k].loops[depth], k
            while (
                k < len(below) and depth < len(below[k].loops) and (below[k].loops[depth] is loop)
            ):
                k += 1
            inner, has_loop = visit(below[first:k], depth + 1, loop.unroll or limit)
            if loop.kind == UNROLLED:
                found.add(loop.number)
                inner *= loop.extent
            elif loop.extent > 1 and loop.kind != VECTORIZED:
                fits = inner * loop.extent <= (loop.unroll or limit)
                if loop.kind == SERIAL and not has_loop and fits:
                    found.add(loop.number)
                    inner *= loop.extent
                else:
                    has_loop = True
            steps, looped = steps + inner, looped or has_loop
        return steps, looped

    visit(statements, 0, 0)
    return found


def straight(nest: Nest, unrolled: set[int]) -> tuple[int, int, int]:
    """Lanes, unrolled copies, and the place of the innermost loop that stays a loop."""
    lanes = copies = 1
    for k, loop in enumerate(nest.loops):
        if loop.kind == VECTORIZED:
            lanes *= loop.extent
        elif loop.number in unrolled:
            copies *= loop.extent
        else:
            return lanes, copies, k
    return lanes, copies, len(nest.loops)

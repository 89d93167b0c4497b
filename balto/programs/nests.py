"""The loop nests of a scheduled TIR program, read once into plain Python.

A program is a tree of loops and blocks over buffers. For the columns of `balto.programs.loops`
it is enough to know, of every statement that stores something: its loops, what it accesses at
which stride of which loop, and what it computes. Indices are read as sums over *atoms*, digits of
a loop variable in a mixed radix (``loop // lower % extent``), so that fused loops are understood
too. Every node of the tree is visited once, since to read an attribute of a TVM object costs a
tenth of a microsecond.

Runs where TVM is loaded, but does not import it: nodes are told apart by their classes' names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

from balto.programs.forms import Form, add, quotient, rest

#: `For.kind` of TVM.
SERIAL, PARALLEL, VECTORIZED, UNROLLED, THREAD = range(5)
#: Operations that `Statement.operations` counts.
OPERATIONS = ("add", "multiply", "divide", "compare", "select", "math", "intrinsic")

_BINARY = {"Add": "add", "Sub": "add", "Mul": "multiply", "Div": "divide", "Mod": "divide"}
_BINARY |= {"FloorDiv": "divide", "FloorMod": "divide", "Min": "compare", "Max": "compare"}
_COMPARISONS = frozenset(("EQ", "NE", "LT", "LE", "GT", "GE", "And", "Or", "Not"))
_LOADS = frozenset(("TensorLoad", "BufferLoad"))


@dataclass(frozen=True, eq=False)
class Loop:
    """One loop.

    Attributes:
        number: place in the program's depth-first order; what atoms refer to.
        extent: number of iterations; 1 where TVM does not know it.
        kind: `SERIAL`, `PARALLEL`, `VECTORIZED`, `UNROLLED` or `THREAD`.
        thread: tag of a thread binding, as ``blockIdx.x``; else empty.
        unroll: limit of steps to unroll to that is annotated here; 0 where there is none.
    """

    number: int
    extent: int
    kind: int
    thread: str
    unroll: int


@dataclass(eq=False)
class Buffer:
    """One buffer.

    Attributes:
        shape: as declared; of a local buffer, the part that TVM will really allocate.
        bytes: of an element.
        scope: storage scope: ``global``, ``shared``, ``local``, ...
        local: whether the program allocates it.
    """

    shape: list[int]
    bytes: int
    scope: str
    local: bool


@dataclass(frozen=True, eq=False)
class Access:
    """A load or a store.

    Attributes:
        buffer: what is accessed.
        index: a linear form a dimension.
        size: elements a dimension that one execution touches; more than 1 in tensor intrinsics.
    """

    buffer: Buffer
    index: list[Form]
    size: list[int]


@dataclass(eq=False)
class Statement:
    """Something that stores: a buffer store, or a call of a tensor intrinsic.

    Attributes:
        loops: around it, outermost first.
        reduces: numbers of the loops that a reduction axis of its block runs over.
        store: what is written.
        loads: what is read, the stored element itself left out.
        accumulates: whether it reads what it writes.
        operations: of each of `OPERATIONS`, how many in one execution.
        guarded: whether it runs only under a condition.
        conditions: numbers of the loops that its conditions and selects depend on.
    """

    loops: list[Loop]
    reduces: set[int]
    store: Access
    loads: list[Access]
    accumulates: bool = False
    operations: dict[str, int] = field(default_factory=dict)
    guarded: bool = False
    conditions: set[int] = field(default_factory=set)

    @cached_property
    def iterated(self) -> list[Loop]:
        """The loops that iterate: outermost first, more than once, and no thread bound again.

        Threads that load together bind the thread's index a second time, further inside.
        """
        kept: list[Loop] = []
        bound: set[str] = set()
        for loop in reversed(self.loops):
            if loop.extent > 1 and loop.thread not in bound:
                kept.append(loop)
            if loop.thread:
                bound.add(loop.thread)
        return kept[::-1]

    @cached_property
    def iterations(self) -> int:
        """How often it is executed, over all threads."""
        return prod(loop.extent for loop in self.iterated)

    @property
    def work(self) -> int:
        """Operations of all its executions."""
        return self.iterations * sum(self.operations.values())


@dataclass(frozen=True, eq=False)
class Program:
    """All statements, in program order, and all loops by number."""

    statements: list[Statement]
    loops: list[Loop]

    def roles(self) -> tuple[Statement, tuple[list[Statement], ...]]:
        """The *main* statement, which computes most, and those around it; there is at least one.

        *init* stores to the same buffer before it, *before* computes what it loads, and *after*
        loads what it stores: three lists.
        """
        statements = self.statements
        main = max(statements, key=lambda s: (s.work, s.iterations))
        place = statements.index(main)
        init = [s for s in statements[:place] if s.store.buffer is main.store.buffer]
        sources = {id(a.buffer) for a in main.loads}
        before = [s for s in statements if s is not main and id(s.store.buffer) in sources]
        after = [
            s
            for s in statements[place + 1 :]
            if any(a.buffer is main.store.buffer for a in s.loads)
        ]
        return main, (init, before, after)


def read(module: Any) -> Program:
    """The loop nests of a scheduled module's ``main`` function (an ``IRModule``)."""
    reader = _Reader()
    reader.visit(module["main"].body, [], False)
    _compact(reader.statements)
    return Program(reader.statements, reader.loops)


class _Reader:
    """Walks statements and expressions; `env` maps variables' handles to linear forms."""

    def __init__(self) -> None:
        self.statements: list[Statement] = []
        self.loops: list[Loop] = []
        self._env: dict[int, Form] = {}
        self._conditions: set[int] = set()  # loops that conditions around and within depend on
        self._reductions: set[int] = set()  # loops that bind a reduction axis of the block around
        self._buffers: dict[int, Buffer] = {}
        self._views: dict[int, Access] = {}  # match buffers: the region that they stand for

    def visit(self, node: Any, loops: list[Loop], guarded: bool) -> None:
        """Read a statement and all that is below it."""
        name = type(node).__name__
        while name == "For":
            loops = [*loops, self._loop(node)]
            node = node.body
            name = type(node).__name__
        if name == "SeqStmt":
            for child in node.seq:
                self.visit(child, loops, guarded)
        elif name == "SBlockRealize":
            self._block(node, loops, guarded)
        elif name in ("BufferStore", "TensorStore"):
            index = [self._form(i) for i in node.indices]
            self._store(self._access(node.buffer, index), node.value, loops, guarded)
        elif name == "IfThenElse":
            around = self._conditions
            self._conditions = around | self._loops_of(node.condition)
            self.visit(node.then_case, loops, True)
            if node.else_case is not None:
                self.visit(node.else_case, loops, True)
            self._conditions = around
        elif hasattr(node, "body"):  # attributes, lets, allocations
            self.visit(node.body, loops, guarded)

    def _buffer(self, buffer: Any, local: bool = False) -> Buffer:
        """Ours for TVM's; a block allocates its local buffers before anything uses them."""
        key = buffer.__chandle__()
        if key not in self._buffers:
            shape = [getattr(d, "value", 1) for d in buffer.shape]
            dtype = str(buffer.dtype)
            bits = int("".join(c for c in dtype.split("x")[0] if c.isdigit()) or 8)
            size = max(1, bits // 8)
            self._buffers[key] = Buffer(shape, size, str(buffer.scope()), local)
        return self._buffers[key]

    def _loop(self, node: Any) -> Loop:
        thread = node.thread_binding
        annotations = node.annotations
        unroll = 0
        if len(annotations):
            for key in ("pragma_auto_unroll_max_step", "pragma_unroll_explicit"):
                if key not in annotations:
                    break
            else:
                unroll = int(annotations["pragma_auto_unroll_max_step"])
        loop = Loop(
            len(self.loops),
            getattr(node.extent, "value", 1),
            int(node.kind),
            str(thread.thread_tag) if thread is not None else "",
            unroll,
        )
        self.loops.append(loop)
        self._env[node.loop_var.__chandle__()] = (
            {(loop.number, 1, loop.extent): 1} if loop.extent > 1 else {}
        )
        return loop

    def _block(self, node: Any, loops: list[Loop], guarded: bool) -> None:
        block = node.block
        around = self._reductions
        self._reductions = set(around)
        values = list(node.iter_values)
        for axis, value in zip(block.iter_vars, values, strict=True):
            form = self._form(value)
            self._env[axis.var.__chandle__()] = form
            if int(axis.iter_type) == 2:  # IterVar.CommReduce
                self._reductions.update(atom[0] for atom in form)
        for buffer in block.alloc_buffers:
            self._buffer(buffer, local=True)
        for view in block.match_buffers:
            self._views[view.buffer.__chandle__()] = self._region(view.source)
        conditions = self._conditions
        if type(node.predicate).__name__ != "IntImm":
            guarded = True
            self._conditions = conditions | self._loops_of(node.predicate)
        before = len(self.statements)
        if block.init is not None:
            self.visit(block.init, loops, guarded)
        self.visit(block.body, loops, guarded)
        if len(self.statements) == before and len(block.writes):
            self._intrinsic(block, loops, guarded)
        self._reductions, self._conditions = around, conditions

    def _intrinsic(self, block: Any, loops: list[Loop], guarded: bool) -> None:
        """A block whose body is opaque: all that is known are the regions it reads and writes."""
        store = self._region(block.writes[0])
        reads = [self._region(r) for r in block.reads]
        loads = [r for r in reads if r.buffer is not store.buffer]
        operations = {"intrinsic": 1}
        if len(loads) > 1:  # of an m x n x k product, the three regions' sizes multiply to (mnk)^2
            work = round(prod(prod(a.size) for a in [store, *loads[:2]]) ** 0.5)
            operations |= {"add": work, "multiply": work}
        accumulates = len(loads) < len(reads)
        self._add(Statement(loops, set(), store, loads, accumulates, operations, guarded))

    def _region(self, region: Any) -> Access:
        ranges = list(region.region)
        access = self._access(region.source, [self._form(r.min) for r in ranges])
        size = [getattr(r.extent, "value", 1) for r in ranges]
        size = [1] * (len(access.index) - len(size)) + size[-len(access.index) :]
        return Access(
            access.buffer, access.index, [a * b for a, b in zip(size, access.size, strict=True)]
        )

    def _access(self, buffer: Any, index: list[Form]) -> Access:
        view = self._views.get(buffer.__chandle__())
        if view is None:
            return Access(self._buffer(buffer), index, [1] * len(index))
        inner: list[Form] = [{}] * (len(view.index) - len(index)) + index[-len(view.index) :]
        moved = [add(a, b, 1) for a, b in zip(view.index, inner, strict=True)]
        return Access(view.buffer, moved, [1] * len(moved))

    def _store(self, store: Access, value: Any, loops: list[Loop], guarded: bool) -> None:
        loads: list[Access] = []
        operations: dict[str, int] = {}
        around = self._conditions
        self._conditions = set(around)
        self._value(value, loads, operations)
        others = [a for a in loads if not (a.buffer is store.buffer and a.index == store.index)]
        accumulates = len(others) < len(loads)
        self._add(Statement(loops, set(), store, others, accumulates, operations, guarded))
        self._conditions = around

    def _add(self, statement: Statement) -> None:
        here = {loop.number for loop in statement.loops}
        statement.reduces = self._reductions & here
        statement.conditions = self._conditions & here
        self.statements.append(statement)

    def _value(self, node: Any, loads: list[Access], operations: dict[str, int]) -> None:
        """Collect the loads and the operations of a value."""
        name = type(node).__name__
        if name in _LOADS:
            index = [self._form(i) for i in node.indices]
            loads.append(self._access(node.source, index))
            return
        children: Iterable[Any] = ()
        if name in _BINARY:
            kind, children = _BINARY[name], (node.a, node.b)
        elif name in _COMPARISONS:
            kind = ""
            children = (node.a,) if name == "Not" else (node.a, node.b)
        elif name == "Call":
            arguments = list(node.args)
            kind, children = "math", arguments
            if str(getattr(node.op, "name", "")).endswith("if_then_else"):
                kind, children = "select", arguments[1:]
                self._conditions |= self._loops_of(arguments[0])
        elif name == "Select":
            kind, children = "select", (node.true_value, node.false_value)
            self._conditions |= self._loops_of(node.condition)
        elif name == "Cast":
            kind, children = "", (node.value,)
        else:
            return
        if kind:
            operations[kind] = operations.get(kind, 0) + 1
        for child in children:
            self._value(child, loads, operations)

    def _loops_of(self, condition: Any) -> set[int]:
        """Numbers of the loops that a condition depends on."""
        name = type(condition).__name__
        if name not in _COMPARISONS:
            return {atom[0] for atom in self._form(condition)}
        sides = (condition.a,) if name == "Not" else (condition.a, condition.b)
        return set().union(*(self._loops_of(side) for side in sides))

    def _form(self, node: Any) -> Form:
        """An index as a linear form of atoms; a part that is not linear is left out."""
        name = type(node).__name__
        if name == "Var":
            return self._env.get(node.__chandle__(), {})
        if name in ("Add", "Sub"):
            return add(self._form(node.a), self._form(node.b), 1 if name == "Add" else -1)
        if name == "Mul":
            a, b = node.a, node.b
            if type(a).__name__ == "IntImm":
                a, b = b, a
            if type(b).__name__ == "IntImm":
                factor = b.value
                return {atom: c * factor for atom, c in self._form(a).items()}
            return add(self._form(a), self._form(b), 1)
        if name in ("FloorDiv", "FloorMod", "Div", "Mod"):
            form, b = self._form(node.a), node.b
            if type(b).__name__ != "IntImm":
                return form
            return quotient(form, b.value) if name.endswith("Div") else rest(form, b.value)
        if name == "Cast":
            return self._form(node.value)
        if name in ("Min", "Max"):
            return add(self._form(node.a), self._form(node.b), 1)
        return {}  # of a gather, a call or a selection nothing is known


def _compact(statements: list[Statement]) -> None:
    """Shrink local buffers to what is accessed below the loops that all of their users share.

    TVM allocates them there with that shape (``CompactBufferAllocation``), so strides and
    footprints have to be computed with it.
    """
    users: dict[int, list[tuple[Statement, Access]]] = {}
    for statement in statements:
        for access in (statement.store, *statement.loads):
            if access.buffer.local:
                users.setdefault(id(access.buffer), []).append((statement, access))
    for uses in users.values():
        first = uses[0][0].loops
        shared = len(first)
        for statement, _ in uses[1:]:
            shared = min(shared, len(statement.loops))
            while shared and statement.loops[shared - 1] is not first[shared - 1]:
                shared -= 1
        outer = {loop.number for loop in first[:shared]}
        buffer = uses[0][1].buffer
        if buffer.scope.startswith("shared"):  # one copy for all threads of a block
            outer -= {x.number for x in first[:shared] if x.thread.startswith("threadIdx")}
        extents = [1] * len(buffer.shape)
        for _, access in uses:
            for d, form in enumerate(access.index):
                reach = sum(abs(c) * (a[2] - 1) for a, c in form.items() if a[0] not in outer)
                extents[d] = max(extents[d], int(reach) + access.size[d])
        buffer.shape = [min(a, b) for a, b in zip(extents, buffer.shape, strict=True)]

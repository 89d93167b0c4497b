"""What makes two tasks the same, and what makes them the same operator with other shapes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from balto.errors import InputError
from balto.text import quoted

_DIGEST = re.compile(r"[0-9a-f]{16}")
#: Where a statement of TVM has others.
_INSIDE = ("block", "init", "then_case", "else_case", "body")
#: Loops of a module, at most, and the largest extent.
_MOST_LOOPS, _LARGEST = 1000, 2**31


@dataclass(frozen=True)
class Identity:
    """What a store knows a task by.

    Attributes:
        family: digest of the blocks' names, their axes and the arguments' types: one operator with
            other shapes has the same.
        key: digest of TVM's structural hash, which leaves names aside, and of the blocks' names,
            by which traces speak of blocks.
        extents: of all loops, in order.

    Raises:
        InputError: If a digest is not 16 hexadecimal digits, or an extent cannot be.
    """

    family: str
    key: str
    extents: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("family", "key"):
            value = getattr(self, name)
            if not isinstance(value, str) or not _DIGEST.fullmatch(value):
                raise InputError(f"expected {name} to be 16 hex digits, got {quoted(value)}")
        possible = all(type(n) is int and 0 < n <= _LARGEST for n in self.extents)
        if len(self.extents) > _MOST_LOOPS or not possible:
            raise InputError(f"expected extents of loops, got {quoted(self.extents)}")

    def distance(self, other: Identity) -> float:
        """How far the shapes are apart: factors of two; infinity if not of one kind."""
        if len(self.extents) != len(other.extents):
            return math.inf
        pairs = zip(self.extents, other.extents, strict=True)
        return sum(abs(math.log2(a / b)) for a, b in pairs)


def identify(modules: Sequence[str]) -> list[Identity]:
    """The identities of tasks, by TVM's JSON of their modules. Runs in a worker with TVM."""
    from balto.workers.tvm_setup import import_tvm

    tvm = import_tvm()
    return [_identity(tvm.ir.load_json(module)) for module in modules]


def _identity(module: Any) -> Identity:
    import tvm_ffi

    blocks: list[Any] = []
    types: list[str] = []
    extents: list[int] = []
    for _, function in sorted(module.functions.items(), key=lambda each: each[0].name_hint):
        types += [str(parameter.dtype) for parameter in function.params]
        for node in _statements(function.body):
            kind = type(node).__name__
            if kind == "SBlock":
                axes = [int(axis.iter_type) for axis in node.iter_vars]
                blocks.append([str(node.name_hint), axes, node.init is not None])
            elif kind == "For":
                extents.append(max(1, int(getattr(node.extent, "value", 1))))
    structure = f"{tvm_ffi.structural_hash(module):x} {[name for name, *_ in blocks]}"
    return Identity(_digest(json.dumps([blocks, types])), _digest(structure), tuple(extents))


def _statements(node: Any) -> Iterator[Any]:
    """A statement and those inside it, from the outside in."""
    yield node
    inside = [getattr(node, name, None) for name in _INSIDE]
    for each in (*getattr(node, "seq", ()), *inside):
        if each is not None:
            yield from _statements(each)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()

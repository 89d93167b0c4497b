"""Read TenSet's pickles as data: no class of theirs is made, nothing that they name is called.

A pickle is a program for a small stack machine. This is such a machine with only the instructions
that build plain values, and a fixed list of names: what the file says of NumPy arrays, dictionaries
and TenSet's own classes is turned into values of ours, and every other name, call or instruction is
refused with its own name. `pickle` itself is not used.

It also has to be done by hand for size: `pickle.load` of TenSet's data set takes more than 72 GiB.
Here features are given away array by array (`Machine.run`), and nothing is remembered that TenSet's
own files do not refer to again. So memory is bounded, whatever a file says (`pickle_bounds`).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from pickletools import opcodes
from typing import Any, BinaryIO

import numpy as np

from balto.errors import InputError
from balto.importers.pickle_arrays import float32
from balto.importers.pickle_bounds import DEEPEST, LARGEST, MOST, NAME, TEXT, Budget, Refused
from balto.importers.pickle_calls import Calls
from balto.importers.pickle_values import (
    LearningTask,
    Programs,
    may_be_recalled,
    name,
    shown,
    size_of,
)
from balto.text import one_line


class Machine:
    """Reads one pickle.

    Args:
        path: of the file.

    Attributes:
        result: the value of the file, after `run`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.result: Any = None
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._memoized = 0
        self._budget = Budget()
        self._calls = Calls(self._budget)
        self._file: BinaryIO
        self._size = 0

    def run(self) -> Iterator[Programs]:
        """Go through the file; features come as they are read, and `result` is there in the end.

        Use it inside `balto.data.files.reading`.

        Raises:
            InputError: If the file names, calls or does what TenSet's do not, or is cut off.
        """
        with self.path.open("rb", buffering=1 << 18) as self._file:
            self._size = self._file.seek(0, 2)
            self._file.seek(0)
            try:
                yield from self._programs()
            except Refused as refused:
                raise InputError(
                    f"{one_line(self.path)} {one_line(refused)}, at byte {self._file.tell()}: "
                    "refused, nothing of the file was executed"
                ) from None

    def _programs(self) -> Iterator[Programs]:
        while (code := self._read(1)) != b".":
            does = _DOES.get(code)
            if does is None:
                raise Refused(f"uses the instruction {_CODES.get(code, repr(code))}")
            does(self)
            if self._calls.ready is not None:
                yield self._calls.ready
                self._calls.ready = None
            elif len(self._memo) > MOST or len(self._stack) > DEEPEST:
                raise Refused("makes more values than a file of TenSet's does")
        if len(self._stack) != 1:
            raise Refused("ends with something left over")
        if self._file.tell() != self._size:
            raise Refused("goes on after its end")
        self.result = self._stack.pop()

    def _read(self, count: int, most: int = LARGEST) -> bytes:
        if count > most:
            raise Refused(f"holds a value of {count} bytes")
        data = self._file.read(count) if count <= self._size else b""
        if len(data) < count or (count == 1 and not data):
            raise InputError(
                f"{one_line(self.path)} is cut off or damaged at byte {self._file.tell()}"
            )
        return data

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    # The stack

    def _push(self, value: Any, size: int = 0) -> None:
        self._budget.make(size)
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or (self._marks and self._marks[-1] >= len(self._stack)):
            raise Refused("takes a value where there is none")
        return self._stack.pop()

    def _mark(self) -> None:
        self._marks.append(len(self._stack))
        if len(self._marks) > NAME:
            raise Refused("is nested deeper than a file of TenSet's")

    def _to_mark(self) -> list[Any]:
        if not self._marks:
            raise Refused("takes values where there are none")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    # Plain values

    def _text(self, form: str) -> None:
        text = self._read(self._number(form), TEXT).decode("utf-8", "surrogatepass")
        self._push(text, size_of(text))

    def _bytes(self, form: str) -> None:
        data = self._read(self._number(form))
        self._push(data, size_of(data))

    def _long(self) -> None:
        data = self._read(self._number("<B"))
        if len(data) > 8:
            raise Refused("holds a number of more than 64 bits")
        self._push(int.from_bytes(data, "little", signed=True))

    def _floats(self) -> None:
        """A number; and if more follow it in a list, all of them as one array."""
        first = self._number(">d")
        run = np.frombuffer(self._file.peek(1)[: 9 * 4096], np.uint8)  # type: ignore[attr-defined]
        run = run[: len(run) // 9 * 9].reshape(-1, 9)
        others = np.flatnonzero(run[:, 0] != ord("G"))
        run = run[: others[0]] if len(others) else run
        if len(run) < 8:
            self._push(first, 4)
            return
        more = np.ascontiguousarray(run[:, 1:]).view(">f8")[:, 0]
        self._file.read(9 * len(run))
        values = float32(np.concatenate([[first], more]))
        self._push(values, values.nbytes)

    # Containers

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)][::-1]
        self._push(tuple(values))

    def _extend(self, values: list[Any]) -> None:
        if not self._stack or not isinstance(self._stack[-1], list):
            raise Refused("appends to what is no list")
        self._stack[-1].extend(values)

    def _set(self, values: list[Any]) -> None:
        if not self._stack or not isinstance(self._stack[-1], dict) or len(values) % 2:
            raise Refused("sets an item of what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | LearningTask):
                raise Refused(f"has a dictionary with the key {shown(key)}")
            self._stack[-1][key] = value

    # What was seen before

    def _remember(self, place: int) -> None:
        """Keep the top of the stack, if it is of a kind that TenSet's files refer to again."""
        self._memoized = max(self._memoized, place) + 1
        value = self._stack[-1] if self._stack else None
        if may_be_recalled(value):
            self._budget.remember(size_of(value))
            self._memo[place] = value

    def _recall(self, place: int) -> None:
        if place not in self._memo:
            raise Refused(f"refers back to value {place}, which TenSet's files do not do")
        self._push(self._memo[place])

    # Names and calls

    def _name(self) -> None:
        lines = []
        for _ in range(2):
            line = self._file.readline(NAME)
            if not line.endswith(b"\n"):
                raise Refused(f"names {line[:40]!r}...")
            lines.append(line[:-1].decode("utf-8", "replace"))
        self._push(name(*lines))

    def _two(self, does: Callable[[Any, Any], Any]) -> None:
        """Make one value of the two that lie on top."""
        second, first = self._pop(), self._pop()
        self._push(does(first, second))

    def _build(self) -> None:
        state, value = self._pop(), self._pop()
        self._stack.append(self._calls.with_state(value, state))


_INSTRUCTIONS: dict[str, Callable[[Machine], Any]] = {
    "PROTO": lambda m: m._number("<B"),
    "FRAME": lambda m: m._number("<Q"),
    "NONE": lambda m: m._push(None),
    "NEWTRUE": lambda m: m._push(True),
    "NEWFALSE": lambda m: m._push(False),
    "BININT": lambda m: m._push(m._number("<i")),
    "BININT1": lambda m: m._push(m._number("<B")),
    "BININT2": lambda m: m._push(m._number("<H")),
    "LONG1": Machine._long,
    "BINFLOAT": Machine._floats,
    "SHORT_BINUNICODE": lambda m: m._text("<B"),
    "BINUNICODE": lambda m: m._text("<I"),
    "BINUNICODE8": lambda m: m._text("<Q"),
    "SHORT_BINBYTES": lambda m: m._bytes("<B"),
    "BINBYTES": lambda m: m._bytes("<I"),
    "BINBYTES8": lambda m: m._bytes("<Q"),
    "BYTEARRAY8": lambda m: m._bytes("<Q"),
    "MARK": Machine._mark,
    "EMPTY_LIST": lambda m: m._push([]),
    "EMPTY_DICT": lambda m: m._push({}),
    "EMPTY_TUPLE": lambda m: m._push(()),
    "TUPLE": lambda m: m._push(tuple(m._to_mark())),
    "TUPLE1": lambda m: m._tuple(1),
    "TUPLE2": lambda m: m._tuple(2),
    "TUPLE3": lambda m: m._tuple(3),
    "APPEND": lambda m: m._extend([m._pop()]),
    "APPENDS": lambda m: m._extend(m._to_mark()),
    "SETITEM": lambda m: m._set([m._pop(), m._pop()][::-1]),
    "SETITEMS": lambda m: m._set(m._to_mark()),
    "MEMOIZE": lambda m: m._remember(m._memoized),
    "BINPUT": lambda m: m._remember(m._number("<B")),
    "LONG_BINPUT": lambda m: m._remember(m._number("<I")),
    "BINGET": lambda m: m._recall(m._number("<B")),
    "LONG_BINGET": lambda m: m._recall(m._number("<I")),
    "GLOBAL": Machine._name,
    "STACK_GLOBAL": lambda m: m._two(name),
    "REDUCE": lambda m: m._two(m._calls.call),
    "NEWOBJ": lambda m: m._two(m._calls.new),
    "BUILD": Machine._build,
}
_CODES = {each.code.encode("latin-1"): each.name for each in opcodes}
_DOES = {code: _INSTRUCTIONS[name] for code, name in _CODES.items() if name in _INSTRUCTIONS}

"""Read TenSet's pickles as data: no class of theirs is made, nothing that they name is called.

A pickle is a program for a small stack machine. This is such a machine with only the instructions
that build plain values, and a fixed list of names: what the file says of NumPy arrays, dictionaries
and TenSet's own classes is turned into values of ours, and every other name, call or instruction is
refused with its own name. `pickle` itself is not used.

It also has to be done by hand for size: `pickle.load` of TenSet's data set takes more than 72 GiB.
Here features are given away array by array (`Machine.run`), and nothing is remembered that TenSet's
own files do not refer to again. So memory is bounded, whatever a file says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from pickletools import opcodes
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from balto.data.files import one_line
from balto.errors import InputError

#: Bytes of one value, bytes of all that is held at a time, values that are made between two arrays
#: of features, values on the stack, characters of a name.
LARGEST, HELD, MOST, DEEPEST, NAME = 1 << 28, 1 << 29, 1_000_000, 200_000, 200
#: Texts and byte strings of up to this length may be referred to again; longer bytes are payloads.
SHORT = 64

_NUMPY = ("numpy.core", "numpy._core")
_DATASET = "tvm.auto_scheduler.dataset"
#: Names that stand for values of ours.
_OBJECTS = {
    ("tvm.runtime.object", "Object"),
    ("tvm.auto_scheduler.search_task", "SearchTask"),
    ("tvm.auto_scheduler.search_task", "HardwareParams"),
    ("tvm.auto_scheduler.compute_dag", "ComputeDAG"),
    ("tvm.target.target", "Target"),
}
_NAMES = {
    ("collections", "OrderedDict"): "dictionary",
    ("numpy", "ndarray"): "class",
    ("numpy", "dtype"): "dtype",
    **{(f"{base}.multiarray", "_reconstruct"): "array" for base in _NUMPY},
    **{(f"{base}.multiarray", "scalar"): "scalar" for base in _NUMPY},
    **{(f"{base}.numeric", "_frombuffer"): "buffer" for base in _NUMPY},
    (_DATASET, "LearningTask"): "task",
    (_DATASET, "Dataset"): "dataset",
    ("tvm.runtime.container", "String"): "string",
    ("tvm.runtime.object", "_new_object"): "new object",
    **dict.fromkeys(_OBJECTS, "object"),
}


class LearningTask(NamedTuple):
    """TenSet's key of a task: JSON of the workload, and the target in TVM's older notation."""

    workload_key: str
    target: str


@dataclass(frozen=True)
class Named:
    """A name of a class or function that the file may use; `role` is what it stands for."""

    module: str
    name: str
    role: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Object:
    """What the file says of one of TVM's objects, which is not made: its class and its state."""

    named: Named
    state: Any = None


@dataclass(eq=False)
class _Array:
    """An array: values, None until its state comes, and how many things were made before it."""

    since: int
    values: NDArray[Any] | None = None


@dataclass(frozen=True)
class Programs:
    """Features of a task's programs: rows of all of them, and how many each has.

    Attributes:
        number: counts these arrays of a file, from 0.
        rows: `R x columns` float32.
        counts: `n`, rows of each program.
    """

    number: int
    rows: NDArray[np.float32] = field(repr=False)
    counts: NDArray[np.int64] = field(repr=False)


@dataclass(frozen=True)
class Given:
    """Stands in the place of features that were given away."""

    number: int
    size: int


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
        self._made = self._held = self._given = 0
        self._ready: Programs | None = None
        self._file: BinaryIO
        self._size = 0

    def run(self) -> Iterator[Programs]:
        """Go through the file; features come as they are read, and `result` is there in the end.

        Use it inside `balto.data.files.reading`.

        Raises:
            InputError: the file names, calls or does what TenSet's do not, or is cut off.
        """
        with self.path.open("rb", buffering=1 << 18) as self._file:
            self._size = self._file.seek(0, 2)
            self._file.seek(0)
            while (code := self._read(1)) != b".":
                does = _DOES.get(code)
                if does is None:
                    self._refuse(f"uses the instruction {_CODES.get(code, repr(code))}")
                else:
                    does(self)
                if self._ready is not None:
                    yield self._ready
                    self._ready = None
                elif max(self._made, len(self._memo)) > MOST or len(self._stack) > DEEPEST:
                    self._refuse("makes more values than a file of TenSet's does")
            if len(self._stack) != 1:
                self._refuse("ends with something left over")
            if self._file.tell() != self._size:
                self._refuse("goes on after its end")
            self.result = self._stack.pop()

    # Reading and refusing

    def _refuse(self, what: str) -> Any:
        raise InputError(
            f"{one_line(self.path)} {one_line(what)}, at byte {self._file.tell()}: refused, "
            "nothing of the file was executed"
        )

    def _read(self, count: int) -> bytes:
        if count > LARGEST:
            self._refuse(f"holds a value of {count} bytes")
        data = self._file.read(count) if count <= self._size else b""
        if len(data) < count or (count == 1 and not data):
            raise InputError(
                f"{one_line(self.path)} is cut off or damaged at byte {self._file.tell()}"
            )
        return data

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _push(self, value: Any, size: int = 0) -> None:
        self._stack.append(value)
        self._made += 1
        self._hold(size)

    def _hold(self, size: int) -> None:
        self._held += size
        if self._held > HELD:
            self._refuse(f"holds more than {HELD >> 20} MiB at a time")

    def _pop(self) -> Any:
        if not self._stack or (self._marks and self._marks[-1] >= len(self._stack)):
            self._refuse("takes a value where there is none")
        return self._stack.pop()

    def _to_mark(self) -> list[Any]:
        if not self._marks:
            self._refuse("takes values where there are none")
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _mark(self) -> None:
        self._marks.append(len(self._stack))
        if len(self._marks) > NAME:
            self._refuse("is nested deeper than a file of TenSet's")

    # Plain values

    def _text(self, form: str) -> None:
        data = self._read(self._number(form))
        self._push(data.decode("utf-8", "surrogatepass"), len(data))

    def _bytes(self, form: str) -> None:
        data = self._read(self._number(form))
        self._push(data, len(data))

    def _long(self) -> None:
        data = self._read(self._number("<B"))
        if len(data) > 8:
            self._refuse("holds a number of more than 64 bits")
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
        values = _float32(np.concatenate([[first], more]))
        self._push(values, values.nbytes)

    # Containers

    def _tuple(self, count: int) -> None:
        values = [self._pop() for _ in range(count)][::-1]
        self._push(tuple(values))

    def _append(self) -> None:
        value = self._pop()
        self._extend([value])

    def _extend(self, values: list[Any]) -> None:
        if not self._stack or not isinstance(self._stack[-1], list):
            self._refuse("appends to what is no list")
        self._stack[-1].extend(values)

    def _set(self, values: list[Any]) -> None:
        if not self._stack or not isinstance(self._stack[-1], dict) or len(values) % 2:
            self._refuse("sets an item of what is no dictionary")
        for key, value in zip(values[::2], values[1::2], strict=True):
            if not isinstance(key, str | LearningTask):
                self._refuse(f"has a dictionary with the key {key!r:.80}")
            self._stack[-1][key] = value

    def _set_one(self) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    # What was seen before

    def _remember(self, place: int) -> None:
        """Keep the top of the stack, if it is of a kind that TenSet's files refer to again."""
        self._memoized = max(self._memoized, place) + 1
        value = self._stack[-1] if self._stack else None
        short = isinstance(value, bytes) and len(value) <= SHORT
        if short or isinstance(value, str | Named | LearningTask | np.dtype | Object | Given):
            self._memo[place] = value

    def _recall(self, place: int) -> None:
        if place not in self._memo:
            self._refuse(f"refers back to value {place}, which TenSet's files do not do")
        self._push(self._memo[place])

    # Names and calls

    def _name(self, module: Any, name: Any) -> None:
        role = _NAMES.get((module, name)) if isinstance(module, str) else None
        if role is None:
            self._refuse(f"names {module}.{name}, which is no part of TenSet's data")
        self._push(Named(module, name, str(role)))

    def _global(self) -> None:
        lines = []
        for _ in range(2):
            line = self._file.readline(NAME)
            if not line.endswith(b"\n"):
                self._refuse(f"names {line[:40]!r}...")
            lines.append(line[:-1].decode("utf-8", "replace"))
        self._name(*lines)

    def _global_of_stack(self) -> None:
        name, module = self._pop(), self._pop()
        self._name(module, name)

    def _call(self) -> None:
        arguments, called = self._pop(), self._pop()
        if not isinstance(called, Named) or not isinstance(arguments, tuple):
            self._refuse(f"calls {_kind(called)}")
        match called.role, arguments:
            case "dictionary", ():
                self._push({})
            case "array", (Named(role="class"), (0,), b"b"):
                self._push(_Array(self._made))
            case "dtype", (str() as code, *_):
                self._push(self._dtype(code))
            case "scalar", (np.dtype() as dtype, bytes() as data) if len(data) == dtype.itemsize:
                self._push(float(np.frombuffer(data, dtype)[0]))
            case "buffer", (
                bytes() | bytearray() as data,
                np.dtype() as dtype,
                tuple() as shape,
                order,
            ):
                values = self._numbers(data, dtype, shape, order == "F")
                self._push(_Array(self._made, values))
            case "new object", (Named(role="object") as made,):
                self._push(Object(made))
            case _:
                self._refuse(f"calls {called} with {_kind(arguments)}")

    def _new(self) -> None:
        arguments, made = self._pop(), self._pop()
        match made, arguments:
            case Named(role="task"), (str() as workload, str() as target):
                self._push(LearningTask(workload, target))
            case Named(role="dataset"), ():
                self._push(Object(made))
            case Named(role="string"), (str() as text,):
                self._push(text)
            case _:
                self._refuse(f"makes {_kind(made)} of {_kind(arguments)}")

    def _build(self) -> None:
        state = self._pop()
        value = self._stack[-1] if self._stack else None
        match value, state:
            case np.dtype(), (3, "<" | "|" | "=" | None, *_):
                pass  # the byte order, which `_dtype` has taken to be this
            case Object(), dict() | tuple() if value.state is None:
                value.state = state
            case str(), (None, dict()):
                pass  # TVM's own handle of a text
            case _Array(values=None), (
                1,
                tuple() as shape,
                np.dtype() as dtype,
                bool() as column,
                data,
            ):
                self._stack[-1] = self._array(value, shape, dtype, column, data)
            case _:
                self._refuse(f"gives {_kind(value)} a state that is not TenSet's")

    # Arrays

    def _dtype(self, code: str) -> np.dtype[Any]:
        if code.lstrip("<|=") not in ("f8", "f4", "i8", "i4", "O8", "O"):
            self._refuse(f"has an array of the type {code}")
        return np.dtype(code)

    def _size_of(self, shape: tuple[Any, ...]) -> int:
        if len(shape) > 4 or not all(type(n) is int and 0 <= n < 2**40 for n in shape):
            self._refuse(f"has an array of the shape {shape!r:.80}")
        return prod(shape)

    def _numbers(self, data: Any, dtype: Any, shape: Any, by_column: bool) -> NDArray[Any]:
        size = self._size_of(shape)
        if dtype.kind not in "fi" or size * dtype.itemsize != len(data):
            self._refuse(f"has an array of {shape!r:.80} in {len(data)} bytes")
        values = np.frombuffer(data, dtype).reshape(shape, order="F" if by_column else "C")
        if values.ndim == 2 and dtype.itemsize == 8:  # one program's features
            values = _float32(values)
            self._held -= values.nbytes
        return values

    def _array(self, made: _Array, shape: Any, dtype: Any, by_column: bool, data: Any) -> Any:
        if dtype.kind != "O":
            if not isinstance(data, bytes):
                self._refuse(f"has an array of {_kind(data)}")
            made.values = self._numbers(data, dtype, shape, by_column)
            return made
        size = self._size_of(shape)
        if not isinstance(data, list) or by_column or len(shape) not in (1, 2, 3):
            self._refuse(f"has an array of objects of the shape {shape!r:.80}")
        if len(shape) == 1:
            return self._give(made, [self._program(each) for each in data], size)
        rows = self._flat(data)
        if rows.size != size:
            self._refuse(f"has an array of {shape!r:.80} with {rows.size} numbers")
        if len(shape) == 2:
            made.values = rows.reshape(shape)
            return made
        return self._give(made, list(rows.reshape(shape)), shape[0])

    def _flat(self, data: list[Any]) -> NDArray[np.float32]:
        if not all(isinstance(each, float | int | np.ndarray) for each in data):
            wrong = next(e for e in data if not isinstance(e, float | int | np.ndarray))
            self._refuse(f"has an array of numbers with {_kind(wrong)} in it")
        return _float32(np.concatenate([np.empty(0, np.float32), *map(np.atleast_1d, data)]))

    def _program(self, value: Any) -> NDArray[np.float32]:
        if not isinstance(value, _Array) or value.values is None or value.values.ndim != 2:
            self._refuse(f"has features that are {_kind(value)}")
        return _float32(value.values)

    def _give(self, made: _Array, programs: list[NDArray[np.float32]], size: int) -> Given:
        if len(programs) != size or len({p.shape[1] for p in programs}) != 1:
            self._refuse(f"has features of {len(programs)} programs that do not fit {size}")
        counts = np.array([len(p) for p in programs], np.int64)
        self._ready = Programs(self._given, np.concatenate(programs), counts)
        self._given += 1
        self._made = made.since  # what was made for it is gone with it
        self._held -= self._ready.rows.nbytes
        return Given(self._ready.number, size)


def _float32(values: NDArray[Any]) -> NDArray[np.float32]:
    """What is too large becomes infinite, without a warning, and is refused as a feature."""
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float32, copy=False)


def _kind(value: Any) -> str:
    """What a value is, in words that are short whatever it is."""
    if isinstance(value, Named):
        return str(value)
    if isinstance(value, Object):
        return f"an object {value.named}"
    if isinstance(value, tuple):
        return f"({', '.join(map(_kind, value[:4]))})"
    return f"a {type(value).__name__.strip('_').lower()}"


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
    "APPEND": Machine._append,
    "APPENDS": lambda m: m._extend(m._to_mark()),
    "SETITEM": Machine._set_one,
    "SETITEMS": lambda m: m._set(m._to_mark()),
    "MEMOIZE": lambda m: m._remember(m._memoized),
    "BINPUT": lambda m: m._remember(m._number("<B")),
    "LONG_BINPUT": lambda m: m._remember(m._number("<I")),
    "BINGET": lambda m: m._recall(m._number("<B")),
    "LONG_BINGET": lambda m: m._recall(m._number("<I")),
    "GLOBAL": Machine._global,
    "STACK_GLOBAL": Machine._global_of_stack,
    "REDUCE": Machine._call,
    "NEWOBJ": Machine._new,
    "BUILD": Machine._build,
}
_CODES = {each.code.encode("latin-1"): each.name for each in opcodes}
_DOES = {code: _INSTRUCTIONS[name] for code, name in _CODES.items() if name in _INSTRUCTIONS}

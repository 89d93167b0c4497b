"""What TenSet's pickles are read as: the names that they may use, and values of ours for theirs."""

from __future__ import annotations

import reprlib
import sys
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from balto.importers.pickle_bounds import Count, Refused

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
    state: Any = field(default=None, repr=False)


@dataclass(eq=False)
class Array:
    """An array: values, None until its state comes, and what lived before it was begun."""

    since: Count
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


def name(module: Any, text: Any) -> Named:
    """A class or function that the file names.

    Raises:
        Refused: If TenSet's files do not use it.
    """
    both = isinstance(module, str) and isinstance(text, str)
    role = _NAMES.get((module, text)) if both else None
    if role is None:
        words = f"{module}.{text}" if both else f"{kind(module)}, {kind(text)}"
        raise Refused(f"names {words}, which is no part of TenSet's data")
    return Named(module, text, role)


def may_be_recalled(value: Any) -> bool:
    """Whether TenSet's files refer to a value of this kind again."""
    if isinstance(value, bytes):
        return len(value) <= SHORT
    return isinstance(value, str | Named | LearningTask | np.dtype | Object | Given)


def size_of(value: Any) -> int:
    """Bytes of the texts that a value keeps alive."""
    if isinstance(value, LearningTask):
        return sum(map(sys.getsizeof, value))
    return sys.getsizeof(value) if isinstance(value, str | bytes) else 0


def kind(value: Any, deep: int = 2) -> str:
    """What a value is, in words that are short whatever it is."""
    if isinstance(value, Named):
        return str(value)
    if isinstance(value, Object):
        return f"an object {value.named}"
    if isinstance(value, tuple) and deep:
        return f"({', '.join(kind(each, deep - 1) for each in value[:4])})"
    return f"a {type(value).__name__.lower()}"


def shown(value: Any) -> str:
    """A value as Python writes it, cut short before it is written and not after."""
    return reprlib.repr(value)[:80]

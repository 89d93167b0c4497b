"""What a model is told of programs: feature sets, and their values for many programs.

A *feature set* is a way to describe a program by rows of numbers: `store` has one row of 164 for
each of its buffer stores (TVM's ``PerStoreFeature``, the features of Ansor and TenSet), another
may have one row a program. `Features` holds one set's rows of many programs, `FeatureTable` the
values of several sets for the same programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balto.arguments import check_type, check_vector
from balto.data.mapped import Rows
from balto.errors import InputError
from balto.text import quoted

#: Programs whose rows are copied at a time.
_BLOCK = 65_536


@dataclass(frozen=True)
class FeatureSet:
    """One way to describe a program.

    Attributes:
        name: how it is called in pools, model files and on the command line.
        version: raised when the meaning of a column changes.
        width: columns of a row.
        extractor: ``package.module:function`` that makes it in a worker, from a `Drawn`.
        on_demand: made only where it is asked for, as it takes long.
    """

    name: str
    version: int
    width: int
    extractor: str = field(default="", compare=False)
    on_demand: bool = field(default=False, compare=False)

    def to_dict(self) -> dict[str, Any]:
        """For the files of pools and models.

        Returns:
            Name, version and width.
        """
        return {"name": self.name, "version": self.version, "width": self.width}

    def __str__(self) -> str:
        return f"{self.name} version {self.version} ({self.width} columns)"


#: TVM's features of each buffer store, Ansor's and TenSet's.
STORE = FeatureSet("store", 1, 164, "balto.programs.store:from_drawn")
#: What a schedule's trace alone says (`balto.programs.decisions`): one row a program.
DECISIONS = FeatureSet("decisions", 1, 135, "balto.programs.decisions:from_drawn")
#: What the loop nests of the scheduled program say (`balto.programs.loops`): one row a program.
LOOPS = FeatureSet("loops", 1, 236, "balto.programs.loops:from_drawn")
#: What a compiler makes of these, and the cycles that takes (`balto.programs.cycles`): likewise.
CYCLES = FeatureSet("cycles", 1, 57, "balto.programs.cycles:from_drawn")
#: What the compiled code says (`balto.programs.assembly`): likewise; programs are built for it.
ASSEMBLY = FeatureSet("assembly", 1, 45, "balto.programs.assembly:from_drawn", on_demand=True)
#: Every feature set there is, by name.
FEATURE_SETS = {each.name: each for each in (STORE, DECISIONS, LOOPS, CYCLES, ASSEMBLY)}


def drawn_sets(asked: Iterable[str] = ()) -> tuple[str, ...]:
    """Names of the feature sets that are made of programs: all but those made on demand.

    Args:
        asked: names of sets that are wanted as well.
    """
    wanted = set(asked)
    return tuple(n for n, each in FEATURE_SETS.items() if not each.on_demand or n in wanted)


@dataclass(frozen=True, eq=False)
class Features:
    """One feature set's rows of `n` programs, held flat.

    Programs may have different numbers of rows, so all rows lie in one array and `offsets` says
    where each program's begin.

    Attributes:
        rows: `R x width` float32, all rows of all programs, in order. May be memory-mapped.
        offsets: `n + 1` int64; program `i` owns ``rows[offsets[i]:offsets[i + 1]]``.

    Raises:
        InputError: If `rows` has not two dimensions, or `offsets` not one.
    """

    rows: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def __post_init__(self) -> None:
        check_vector("offsets of features", self.offsets)
        if getattr(self.rows, "ndim", 0) != 2:
            raise InputError(f"expected features of rows and columns, got {quoted(self.rows)}")

    @classmethod
    def from_programs(cls, programs: Iterable[ArrayLike], width: int = STORE.width) -> Features:
        """Gather one ``rows x width`` array a program into one flat array.

        Args:
            programs: ``rows x width`` arrays, one a program.
            width: number of columns.

        Returns:
            Those programs, in that order.

        Raises:
            InputError: If an array is not of shape ``rows x width``.
        """
        try:
            parts = [np.asarray(p, dtype=np.float32) for p in programs]
        except (TypeError, ValueError) as error:
            raise InputError(f"expected an array of numbers a program: {error}") from error
        for number, part in enumerate(parts):
            if part.ndim != 2 or part.shape[1] != width:
                raise InputError(
                    f"expected features of shape rows x {width}, program {number} has {part.shape}"
                )
        rows = np.concatenate(parts) if parts else np.empty((0, width), np.float32)
        return cls(rows, _offsets([len(p) for p in parts]))

    @classmethod
    def concatenate(cls, parts: Sequence[Features]) -> Features:
        """Join several sets of programs, at least one, in order.

        Args:
            parts: the sets.

        Returns:
            One set.
        """
        rows = np.concatenate([p.rows for p in parts])
        return cls(rows, _offsets(np.concatenate([p.counts for p in parts])))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __repr__(self) -> str:
        return f"Features({len(self)} programs, {len(self.rows)} rows of {self.width} columns)"

    def __getitem__(self, program: int) -> NDArray[np.float32]:
        """The ``rows x width`` of one program."""
        return self.rows[self.offsets[program] : self.offsets[program + 1]]

    @property
    def width(self) -> int:
        """Columns of a row."""
        return int(self.rows.shape[1])

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of rows of each program, `n`."""
        return np.diff(self.offsets)

    def take(self, programs: NDArray[np.integer]) -> Features:
        """The features of the given programs, in the given order; mapped if they are many.

        Args:
            programs: their places.

        Returns:
            A set of its own.

        Raises:
            InputError: If `programs` is not a vector.
        """
        check_vector("programs", programs)
        programs = np.asarray(programs, dtype=np.int64)
        counts = self.counts[programs]
        offsets = _offsets(counts)
        with Rows(self.width) as rows:
            for start in range(0, len(programs), _BLOCK):
                stop = min(start + _BLOCK, len(programs))
                first, last = offsets[start], offsets[stop]
                moved = self.offsets[programs[start:stop]] - offsets[start:stop]
                places = np.repeat(moved, counts[start:stop]) + np.arange(first, last)
                rows.append(self.rows[places])
            return Features(rows.finish(), offsets)

    def slice(self, start: int, stop: int) -> Features:
        """Programs `start` to `stop`, without a copy of their rows.

        Args:
            start: the first program.
            stop: the one after the last.

        Returns:
            A view.
        """
        offsets = self.offsets[start : stop + 1]
        return Features(self.rows[offsets[0] : offsets[-1]], offsets - offsets[0])


class FeatureTable:
    """The values of one or more feature sets for the same `n` programs.

    Args:
        sets: `Features` by the name of their set, all of `n` programs.
        size: `n`; needed only where there is no set.

    Raises:
        InputError: If there is no set, or the sets are of different numbers of programs.
    """

    def __init__(self, sets: Mapping[str, Features], size: int | None = None) -> None:
        check_type("sets", sets, Mapping, "{name: Features}")  # type: ignore[type-abstract]
        self._sets = dict(sets)
        for name, each in self._sets.items():
            check_type(f"the feature set {name}", each, Features, "Features.from_programs(...)")
        sizes = {len(each) for each in self._sets.values()} | (set() if size is None else {size})
        if len(sizes) != 1:
            raise InputError(
                "expected at least one feature set, and all of the same programs, got "
                + (", ".join(f"{n}: {len(f)}" for n, f in self._sets.items()) or "none")
            )
        (self._size,) = sizes

    def __len__(self) -> int:
        """How many programs there are."""
        return self._size

    def __getitem__(self, name: str) -> Features:
        """The values of one set.

        Raises:
            InputError: If these programs do not have that set.
        """
        if not isinstance(name, str) or name not in self._sets:
            known = FEATURE_SETS.get(name) if isinstance(name, str) else None
            option = f" --{name}" if known is not None and known.on_demand else ""
            raise InputError(
                f"expected the feature set {quoted(name)}, these programs have "
                f"{', '.join(self._sets)}: balto features{option} makes it"
            )
        return self._sets[name]

    def __contains__(self, name: object) -> bool:
        return name in self._sets

    def __repr__(self) -> str:
        sets = ", ".join(f"{name}: {each.width} columns" for name, each in self._sets.items())
        return f"FeatureTable({self._size} programs; {sets})"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the sets, in order."""
        return tuple(self._sets)

    def select(self, names: Sequence[str]) -> FeatureTable:
        """Only the sets that are named.

        Args:
            names: of the sets.

        Returns:
            A table that shares their rows.

        Raises:
            InputError: If these programs do not have one of the sets.
        """
        return FeatureTable({name: self[name] for name in names})

    def take(self, programs: NDArray[np.integer]) -> FeatureTable:
        """Of the given programs, in the given order.

        Args:
            programs: their places in this table.

        Returns:
            A table of its own.
        """
        return self._each(lambda features: features.take(programs))

    def slice(self, start: int, stop: int) -> FeatureTable:
        """Programs `start` to `stop`, without a copy of their rows.

        Args:
            start: the first program.
            stop: the one after the last.

        Returns:
            A view.
        """
        return self._each(lambda features: features.slice(start, stop))

    def _each(self, change: Callable[[Features], Features]) -> FeatureTable:
        return FeatureTable({name: change(each) for name, each in self._sets.items()})

    @classmethod
    def concatenate(cls, parts: Sequence[FeatureTable]) -> FeatureTable:
        """Join several tables of the same sets, at least one, in order.

        Args:
            parts: the tables.

        Returns:
            One table.
        """
        return cls({n: Features.concatenate([p[n] for p in parts]) for n in parts[0].names})


def _offsets(counts: ArrayLike) -> NDArray[np.int64]:
    counts = np.asarray(counts, dtype=np.int64)
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets

"""Feature set ``decisions``: what a schedule's trace alone says, one row a program.

No TVM is needed, and no program is made: a search can look at 100,000 candidates a second. That is
because the candidates of one task share a few *skeletons*, the instructions without what was
decided at the sampling ones. A skeleton is read once (`Skeleton`), and then turns arrays of
decisions into rows (`Skeleton.rows`). Only instructions before ``EnterPostproc`` count: what comes
after follows from them.

To mean the same across operators and targets, tiles are described from the inside out: level 0 is
the innermost letter of MetaSchedule's tiling structure (``SSRSRS`` on CPUs, ``SSSRRSRS`` on GPUs);
and the last spatial axis, which is the vectorised one, and the last reduction axis have columns of
their own. All extents are ``log2``; `docs/features.md` explains every column.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from balto.programs.extract import Drawn

#: Name of the feature set, and the version of what its columns mean.
NAME, VERSION = "decisions", 1
#: The value of columns that describe what a trace does not have.
ABSENT = -1.0
#: Tiling levels, from the innermost; letters of the tiling structure.
LEVELS = 8
#: Axes that have columns of their own, from the last; the others share a column.
AXES = 3
#: Instructions that are counted; all others together are ``count.other``.
INSTRUCTIONS = (
    *("Annotate", "CacheRead", "CacheWrite", "ComputeAt", "ComputeInline", "Fuse", "GetSBlock"),
    *("RFactor", "ReverseComputeAt", "ReverseComputeInline", "SampleCategorical"),
    *("SampleComputeLocation", "SamplePerfectTile", "TransformLayout"),
)
#: Categorical decisions by the annotation that they go to, and how many of each have columns.
CATEGORIES = {"unroll": ("meta_schedule.unroll_explicit", 1)}
CATEGORIES |= {"fetch": ("meta_schedule.cooperative_fetch", 2), "category": ("", 1)}
#: Computation locations, and tiles outside the main structure, that have columns.
PLACES = 2

Floats = NDArray[np.float32]

_TILING = "meta_schedule.tiling_structure"
_SAMPLING = ("SamplePerfectTile", "SampleCategorical", "SampleComputeLocation")
_AXIS_NAMES = (*(f"axis{k}" for k in range(AXES)), "axes")


def _names() -> Iterable[str]:
    for level in range(LEVELS):
        yield from (f"level{level}.{name}" for name in (*_AXIS_NAMES, "reduces"))
        yield from (f"inner{level}.{name}" for name in ("spatial", "reduction", "last", "others"))
        yield from (f"inner{level}.{name}" for name in ("left", "right"))
    for kind in ("spatial", "reduction"):
        yield from (f"{kind}.{name}" for name in (*_AXIS_NAMES, "all", "number"))
    for name, (_, most) in CATEGORIES.items():
        yield from (f"{name}{k}" for k in range(most))
    for k in range(PLACES):
        yield from (f"place{k}.{name}" for name in ("loop", "outside", "inside"))
        yield from (f"tile{k}.{name}" for name in ("inner", "outer"))
    yield from ("written.loop", "written.outside", "written.inside")
    yield from ("fetched.loop", "fetched.outside", "fetched.inside")
    yield from (f"count.{name}" for name in (*INSTRUCTIONS, "other"))


#: Names of the columns.
COLUMNS: tuple[str, ...] = tuple(_names())


@dataclass
class _Tile:
    """A `SamplePerfectTile`: which of the decisions, and the levels of its parts."""

    decision: int
    parts: int
    loop: str
    reduces: bool = False
    levels: tuple[int, ...] = ()
    pieces: list[str] = field(default_factory=list)  # the loops it was split into


class Skeleton:
    """The instructions of a trace, without its decisions, read once for many programs.

    Attributes:
        sampling: places of the sampling instructions; `rows` takes a decision array for each.
    """

    def __init__(self, instructions: Sequence[Any]) -> None:
        """Read the instructions of a trace, the first half of its JSON, up to ``EnterPostproc``."""
        names = [entry[0] for entry in instructions]
        end = names.index("EnterPostproc") if "EnterPostproc" in names else len(names)
        self._instructions = list(instructions[:end])
        self.sampling = [k for k in range(end) if names[k] in _SAMPLING]
        self._order: list[str] = []
        self._tiles: list[_Tile] = []
        self._others: list[_Tile] = []
        self._categories: dict[str, list[tuple[int, NDArray[np.float64]]]] = {}
        self._places: list[int] = []
        self._written: list[str] = []
        self._fetched: list[str] = []
        self._read()
        counts = {name: names[:end].count(name) for name in INSTRUCTIONS}
        self._counts = [*counts.values(), end - sum(counts.values())]

    def _read(self) -> None:
        structures: dict[str, str] = {}  # block -> tiling structure
        block_of: dict[str, str] = {}
        tiles: dict[str, _Tile] = {}  # variable of a factor -> its tile
        sampled: dict[str, tuple[int, NDArray[np.float64]]] = {}
        cached: dict[str, list[str]] = {}
        decision = {place: k for k, place in enumerate(self.sampling)}
        used: set[str] = set()
        pieces: set[str] = set()
        for place, (name, inputs, attributes, outputs) in enumerate(self._instructions):
            if name == "GetLoops":
                for loop in outputs:
                    block_of[loop] = inputs[0]
            elif name == "Annotate":
                value, key = inputs[1], attributes[0]
                if key == _TILING:
                    structures[inputs[0]] = str(value).strip('"')
                elif isinstance(value, str) and value in sampled:
                    kinds = [k for k, (known, _) in CATEGORIES.items() if known == key]
                    self._categories.setdefault((kinds or ["category"])[0], []).append(
                        sampled[value]
                    )
                    used.add(value)
            elif name == "SamplePerfectTile":
                tile = _Tile(decision[place], len(outputs), inputs[0])
                tiles.update(dict.fromkeys(outputs, tile))
            elif name == "Split" and str(inputs[1]) in tiles:
                tiles[inputs[1]].pieces = list(outputs)
                pieces.update(outputs)
            elif name == "SampleCategorical":
                values = np.array([float(v) for v in attributes[0]])
                sampled[outputs[0]] = (decision[place], values)
            elif name == "SampleComputeLocation":
                self._places.append(decision[place])
            elif name == "Reorder" and not self._order and pieces.intersection(inputs):
                self._order = list(inputs)
            elif name in ("CacheWrite", "CacheRead"):
                cached.setdefault(name, []).extend(outputs)
            elif name in ("ReverseComputeAt", "ComputeAt"):
                if name == "ReverseComputeAt" and not self._written:
                    self._written.append(inputs[1])
                elif name == "ComputeAt" and inputs[0] in cached.get("CacheRead", []):
                    self._fetched.append(inputs[1])
        for variable, choice in sampled.items():
            if variable not in used:
                self._categories.setdefault("category", []).append(choice)
        self._sort(list({id(t): t for t in tiles.values()}.values()), structures, block_of)

    def _sort(
        self, tiles: list[_Tile], structures: dict[str, str], block_of: dict[str, str]
    ) -> None:
        """Tell the tiles of the main structure, and the levels of their parts, from others."""
        blocks = [block_of.get(tile.loop, "") for tile in tiles]
        main = max(blocks, key=blocks.count, default="")
        # A tensorised block is annotated under the name that it had before it was blockized.
        structure = structures.get(main, next(iter(structures.values()), ""))[::-1]
        levels = {
            letter: tuple(k for k, c in enumerate(structure) if c == letter)[::-1]
            for letter in ("S", "R")
        }
        for tile, block in zip(tiles, blocks, strict=True):
            fits = [letter for letter in ("S", "R") if len(levels[letter]) == tile.parts]
            if block != main or not fits:
                self._others.append(tile)
                continue
            tile.reduces = fits[0] == "R"  # all of TVM's structures have more S than R
            tile.levels = levels["R" if tile.reduces else "S"]
            self._tiles.append(tile)

    def rows(self, decisions: Sequence[ArrayLike]) -> Floats:
        """Rows of `n` programs with these instructions.

        Args:
            decisions: an array for each of `sampling`: `n x parts` factors for a tile, else `n`
                numbers (index of a category, or of a loop), as they are in a trace.

        Returns:
            `n x len(COLUMNS)`, finite.
        """
        arrays = [np.asarray(d, dtype=np.float64) for d in decisions]
        n = len(arrays[0]) if arrays else 1
        out = np.full((len(COLUMNS), n), ABSENT)
        place = iter(range(len(COLUMNS)))

        def put(*values: ArrayLike | None) -> None:
            for value in values:
                column = next(place)
                if value is not None:
                    out[column] = value

        logs = {
            id(t): np.log2(np.maximum(arrays[t.decision].reshape(n, -1), 1)).T
            for t in (*self._tiles, *self._others)
        }
        self._put_levels(put, logs, n)
        for reduces in (False, True):
            axes = [logs[id(t)].sum(axis=0) for t in self._tiles if t.reduces == reduces][::-1]
            put(*_by_axis(axes), sum(axes, np.zeros(n)), len(axes))
        for name, (_, most) in CATEGORIES.items():
            choices = self._categories.get(name, [])[:most]
            for k, values in choices:
                chosen = np.clip(arrays[k].astype(np.int64), 0, len(values) - 1)
                put(np.log2(1 + np.maximum(values, 0))[chosen])
            put(*[None] * (most - len(choices)))
        outside = self._outside(logs, n)
        for k in range(PLACES):
            if k < len(self._places):
                loop = arrays[self._places[k]]
                put(loop, *_around(outside, np.clip(loop + 1, 0, len(outside) - 1)))
            else:
                put(None, None, None)
            if k < len(self._others):
                log = logs[id(self._others[k])]
                put(log[-1], log[:-1].sum(axis=0))
            else:
                put(None, None)
        for loops in (self._written, self._fetched):
            known = [self._order.index(loop) + 1 for loop in loops if loop in self._order]
            if known:
                put(known[0], *_around(outside, np.full(n, known[0])))
            else:
                put(None, None, None)
        put(*self._counts)
        return np.ascontiguousarray(out.T, dtype=np.float32)

    def _put_levels(self, put: Any, logs: dict[int, Floats], n: int) -> None:
        spatial, reduction, last = np.zeros(n), np.zeros(n), np.zeros(n)
        deepest = max((max(t.levels) for t in self._tiles), default=-1)
        for level in range(LEVELS):
            here = [t for t in self._tiles if level in t.levels]
            if level > deepest:
                put(*[None] * (AXES + 2 + 6))
                continue
            parts = [logs[id(t)][t.levels.index(level)] for t in here][::-1]
            reduces = bool(here) and here[0].reduces
            put(*_by_axis(parts), float(reduces))
            total = sum(parts, np.zeros(n))
            if reduces:
                reduction = reduction + total
            else:
                spatial = spatial + total
                last = last + (parts[0] if parts else 0.0)
            others = spatial - last
            put(spatial, reduction, last, others, others + reduction, last + reduction)

    def _outside(self, logs: dict[int, Floats], n: int) -> Floats:
        """Logarithms of the products of the `0` to `L` outermost loops in order, `(L + 1) x n`."""
        extents = {
            loop: logs[id(t)][k]
            for t in self._tiles
            for k, loop in enumerate(t.pieces)
            if k < t.parts
        }
        steps = [extents.get(loop, np.zeros(n)) for loop in self._order]
        return np.cumsum([np.zeros(n), *steps], axis=0)


def _by_axis(parts: list[Floats]) -> list[Floats | None]:
    """The first `AXES` of some columns, and the sum of the others; None where there are none."""
    own: list[Floats | None] = [*parts[:AXES], *[None] * (AXES - len(parts[:AXES]))]
    return [*own, sum(parts[AXES:]) if len(parts) > AXES else None]  # type: ignore[list-item]


def _around(outside: Floats, loop: Floats) -> tuple[Floats, Floats]:
    """Logarithms of the iterations outside and inside of a place in the loops' order."""
    at = outside[loop.astype(np.int64), np.arange(outside.shape[1])]
    return at, outside[-1] - at


def extract(traces: Iterable[str]) -> Floats:
    """One row a trace (its JSON), `n x len(COLUMNS)`; skeletons are read once."""
    groups: dict[str, tuple[Skeleton, list[int], list[dict[int, Any]]]] = {}
    n = 0
    for trace in traces:
        instructions, decided = json.loads(trace)
        names = [entry[0] for entry in instructions]
        end = names.index("EnterPostproc") if "EnterPostproc" in names else len(names)
        key = json.dumps(instructions[:end])
        if key not in groups:
            groups[key] = (Skeleton(instructions), [], [])
        groups[key][1].append(n)
        groups[key][2].append(dict(decided))
        n += 1
    table = np.empty((n, len(COLUMNS)), np.float32)
    for skeleton, programs, chosen in groups.values():
        arrays = [np.array([d[k] for d in chosen]) for k in skeleton.sampling]
        table[programs] = skeleton.rows(arrays)
    return table


def from_drawn(drawn: Drawn) -> Sequence[NDArray[np.float32]]:
    """One ``1 x len(COLUMNS)`` array a program that was drawn."""
    return list(extract(drawn.traces)[:, None])

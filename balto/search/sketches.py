"""Programs of a task as vectors of decisions: cheap to change, and to describe without TVM.

MetaSchedule's space of a task is a few *sketches*: lists of instructions, some of which take a
decision (how to split a loop, how far to unroll, where to compute). A program is a sketch and one
option for each of its decisions, its *genes*. Changing a gene costs nothing; only what is worth it
is turned into a program.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.programs.decisions import Skeleton

#: Genes of `n` programs of one sketch, ``n x decisions``: which option of each decision.
Genes = NDArray[np.int64]

_TILE, _CATEGORY = "SamplePerfectTile", "SampleCategorical"


@dataclass(frozen=True, eq=False)
class Sketch:
    """One list of instructions, and what can be decided in it.

    Attributes:
        instructions: JSON of the instructions, up to the postprocessors.
        places: of the instructions that take a decision.
        options: for each, its options as a trace has them: ``options x parts`` factors of a tile,
            or numbers.
        kinds: for each, the instruction's name.
        skeleton: makes rows of the feature set ``decisions``.
    """

    instructions: str
    places: tuple[int, ...]
    options: tuple[NDArray[np.int64], ...]
    kinds: tuple[str, ...]
    skeleton: Skeleton
    _steps: dict[int, _Steps] = field(default_factory=dict, repr=False)

    def rows(self, genes: Genes) -> NDArray[np.float32]:
        """Rows of the feature set ``decisions``, one a program."""
        return self.skeleton.rows([o[g] for o, g in zip(self.options, genes.T, strict=True)])

    def trace(self, gene: NDArray[np.int64]) -> str:
        """JSON of the trace of one program, without postprocessors."""
        decided = [
            [place, options[g].tolist()]
            for place, options, g in zip(self.places, self.options, gene, strict=True)
        ]
        return f"[{self.instructions}, {json.dumps(decided)}]"

    def niches(self, genes: Genes) -> NDArray[np.int64]:
        """Where the parts of each of `n` programs are computed, as a number.

        Programs of one niche share their compute locations. A model's errors are nearly the same
        for all of them, so a batch takes few from each niche.
        """
        number = np.zeros(len(genes), np.int64)
        for kind, options, column in zip(self.kinds, self.options, genes.T, strict=True):
            if kind not in (_TILE, _CATEGORY):
                number = number * len(options) + column
        return number

    def random(self, n: int, rng: np.random.Generator) -> Genes:
        """Genes of `n` programs, every option equally likely."""
        return np.stack([rng.integers(len(o), size=n) for o in self.options], axis=1)

    def mutated(self, genes: Genes, rng: np.random.Generator) -> Genes:
        """Every program with one decision changed: half of the tiles by one step (`steps`)."""
        changed = genes.copy()
        which = rng.integers(len(self.places), size=len(genes))
        near, drawn = rng.random(len(genes)) < 0.5, rng.random(len(genes))
        for k, options in enumerate(self.options):
            rows = np.flatnonzero(which == k)
            steps, count = self._steps_of(k).of(genes[rows, k])
            step = near[rows] & (count > 0)
            pick = (drawn[rows] * np.where(step, count, len(options))).astype(np.int64)
            changed[rows, k] = pick
            changed[rows[step], k] = steps[step, pick[step]]
        return changed

    def crossed(self, genes: Genes, rng: np.random.Generator) -> Genes:
        """Every program with a random half of its decisions taken from another one."""
        others: Genes = genes[rng.integers(len(genes), size=len(genes))]
        crossed: Genes = np.where(rng.random(genes.shape) < 0.5, genes, others)
        return crossed

    def neighbours(self, gene: NDArray[np.int64]) -> Genes:
        """All programs that are one step in one decision away."""
        near = []
        for k in range(len(self.places)):
            for option in self.steps(k, int(gene[k])):
                one = gene.copy()
                one[k] = option
                near.append(one)
        return np.array(near, np.int64).reshape(len(near), len(gene))

    def steps(self, decision: int, option: int) -> NDArray[np.int64]:
        """Options one step away: of a tile, one prime factor moved to another level; else all."""
        steps, count = self._steps_of(decision).of(np.array([option]))
        return steps[0, : count[0]]

    def _steps_of(self, decision: int) -> _Steps:
        if decision not in self._steps:
            tile = self.kinds[decision] == _TILE
            self._steps[decision] = _Steps(self.options[decision], tile)
        return self._steps[decision]


class _Steps:
    """Which options of a decision are one step away from each: found when it is first asked for.

    Args:
        options: of the decision.
        tile: whether they are tiles.
    """

    def __init__(self, options: NDArray[np.int64], tile: bool) -> None:
        self._options, self._tile = options, tile
        self._count = np.full(len(options), -1)
        self._steps = np.empty((len(options), 0), np.int64)

    def of(self, asked: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of `n` options the steps, ``n x most``, and how many each has, which come first."""
        unknown = np.unique(asked[self._count[asked] < 0])
        if len(unknown):
            self._find(unknown)
        return self._steps[asked], self._count[asked]

    def _find(self, unknown: NDArray[np.int64]) -> None:
        near = self._near(unknown)
        self._count[unknown] = count = near.sum(axis=1)
        wider = max(0, int(count.max()) - self._steps.shape[1])
        self._steps = np.pad(self._steps, ((0, 0), (0, wider)))
        rows, options = np.nonzero(near)
        before = np.cumsum(count) - count
        self._steps[unknown[rows], np.arange(len(rows)) - before[rows]] = options

    def _near(self, options: NDArray[np.int64]) -> NDArray[np.bool_]:
        if not self._tile:
            return np.asarray(np.arange(len(self._options)) != options[:, None])
        ratio = self._options / self._options[options][:, None]
        moved = (ratio != 1).sum(axis=2) == 2
        largest = ratio.max(axis=2).round().astype(np.int64)
        return np.asarray(moved & _primes(int(self._options.max()) + 1)[largest])


class Sketches:
    """The sketches of a task, gathered from programs that MetaSchedule drew."""

    def __init__(self, traces: Sequence[str]) -> None:
        """Read traces; each decision's options are all factorisations, or what was drawn."""
        parsed = [(json.dumps(instructions), decided) for instructions, decided in map(cut, traces)]
        drawn: dict[str, list[list[Any]]] = {}
        for instructions, decided in parsed:
            drawn.setdefault(instructions, []).append(decided)
        self.sketches = [_sketch(text, decided) for text, decided in drawn.items()]
        number = {each.instructions: k for k, each in enumerate(self.sketches)}
        option = [
            [{_key(value): i for i, value in enumerate(options)} for options in each.options]
            for each in self.sketches
        ]
        self._numbers = {_form(json.loads(text)): k for text, k in number.items()}
        self._genes = {}
        for trace, (instructions, decided) in zip(traces, parsed, strict=True):
            k = number[instructions]
            genes = [of[_key(value)] for of, (_, value) in zip(option[k], decided, strict=True)]
            self._genes[trace] = k, np.array(genes, np.int64)

    def of(self, trace: str) -> tuple[int, NDArray[np.int64]]:
        """Sketch and genes of a trace that was among those read."""
        return self._genes[trace]

    def number_of(self, instructions: Sequence[Any]) -> int | None:
        """The sketch that has these instructions; None if none has."""
        return self._numbers.get(_form(instructions))


def cut(trace: str) -> tuple[list[Any], list[Any]]:
    """Instructions and decisions of a trace before its postprocessors."""
    instructions, decided = json.loads(trace)
    names = [each[0] for each in instructions]
    end = names.index("EnterPostproc") if "EnterPostproc" in names else len(names)
    return instructions[:end], sorted(each for each in decided if each[0] < end)


def _sketch(text: str, decided: Sequence[list[Any]]) -> Sketch:
    instructions = json.loads(text)
    places = tuple(place for place, _ in decided[0])
    kinds = tuple(str(instructions[place][0]) for place in places)
    options = []
    for k, (place, kind) in enumerate(zip(places, kinds, strict=True)):
        seen = {_key(each[k][1]): each[k][1] for each in decided}
        if kind == _TILE:
            parts, innermost = (int(x) for x in instructions[place][2])
            for extent in sorted({int(np.prod(value)) for value in seen.values()}):
                found = _factorisations(extent, parts)
                for value in found[found[:, -1] <= innermost].tolist():
                    seen.setdefault(_key(value), value)
            options.append(np.array([seen[key] for key in sorted(seen)], np.int64))
        elif kind == _CATEGORY:
            options.append(np.arange(len(instructions[place][2][0])))
        else:
            options.append(np.array(sorted(seen.values()), np.int64))
    return Sketch(text, places, tuple(options), kinds, Skeleton(instructions))


def _form(instructions: Sequence[Any]) -> str:
    """Instructions as text; TVM's databases say 1 and 0 for what a trace calls true and false."""
    return json.dumps(instructions).replace("true", "1").replace("false", "0")


def _key(value: Any) -> tuple[int, ...]:
    return tuple(int(x) for x in np.atleast_1d(value))


@lru_cache(maxsize=256)
def _factorisations(extent: int, parts: int) -> NDArray[np.int64]:
    """All ordered products of `parts` positive factors, ``options x parts``."""
    if parts == 1:
        return np.array([[extent]], np.int64)
    rows = [
        np.insert(_factorisations(extent // first, parts - 1), 0, first, axis=1)
        for first in range(1, extent + 1)
        if extent % first == 0
    ]
    return np.concatenate(rows)


@lru_cache(maxsize=64)
def _primes(limit: int) -> NDArray[np.bool_]:
    """Which of the numbers below `limit` are prime."""
    prime = np.arange(limit) > 1
    for n in range(2, int(limit**0.5) + 1):
        prime[n * n :: n] = False
    return prime

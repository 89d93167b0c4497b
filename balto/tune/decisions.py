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
    _steps: dict[tuple[int, int], NDArray[np.int64]] = field(default_factory=dict, repr=False)

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

    def niche(self, gene: NDArray[np.int64]) -> tuple[int, ...]:
        """Where its parts are computed: what a model is wrong about, it is for a whole niche."""
        return tuple(
            int(option)
            for kind, option in zip(self.kinds, gene, strict=True)
            if kind not in (_TILE, _CATEGORY)
        )

    def random(self, n: int, rng: np.random.Generator) -> Genes:
        """Genes of `n` programs, every option equally likely."""
        return np.stack([rng.integers(len(o), size=n) for o in self.options], axis=1)

    def mutated(self, genes: Genes, rng: np.random.Generator) -> Genes:
        """Every program with one decision changed: half of the tiles by one step (`steps`)."""
        changed = genes.copy()
        which = rng.integers(len(self.places), size=len(genes))
        for row, k in enumerate(which):
            near = self.steps(int(k), int(genes[row, k])) if rng.random() < 0.5 else ()
            many = near if len(near) else np.arange(len(self.options[k]))
            changed[row, k] = many[rng.integers(len(many))]
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
        if (decision, option) not in self._steps:  # a generation asks thousands of times
            self._steps[decision, option] = self._found_steps(decision, option)
        return self._steps[decision, option]

    def _found_steps(self, decision: int, option: int) -> NDArray[np.int64]:
        options = self.options[decision]
        if self.kinds[decision] != _TILE:
            others = np.arange(len(options))
            return np.delete(others, option)
        ratio = options / options[option]
        changed = (ratio != 1).sum(axis=1) == 2
        largest = ratio.max(axis=1).round().astype(np.int64)
        prime = np.array([_is_prime(int(x)) for x in largest])
        return np.flatnonzero(changed & prime).astype(np.int64)


class Sketches:
    """The sketches of a task, gathered from programs that MetaSchedule drew."""

    def __init__(self, traces: Sequence[str]) -> None:
        """Read traces; each decision's options are all factorisations, or what was drawn."""
        parsed = [_cut(trace) for trace in traces]
        drawn: dict[str, list[list[Any]]] = {}
        for instructions, decided in parsed:
            drawn.setdefault(json.dumps(instructions), []).append(decided)
        self.sketches = [_sketch(text, decided) for text, decided in drawn.items()]
        self._number = {each.instructions: k for k, each in enumerate(self.sketches)}
        self._option = [
            [{_key(value): i for i, value in enumerate(options)} for options in each.options]
            for each in self.sketches
        ]

    def of(self, trace: str) -> tuple[int, NDArray[np.int64]]:
        """Sketch and genes of a trace that was among those read."""
        instructions, decided = _cut(trace)
        number = self._number[json.dumps(instructions)]
        genes = [self._option[number][k][_key(value)] for k, (_, value) in enumerate(decided)]
        return number, np.array(genes, np.int64)


def _cut(trace: str) -> tuple[list[Any], list[Any]]:
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


@lru_cache(maxsize=4096)
def _is_prime(n: int) -> bool:
    return n > 1 and all(n % k for k in range(2, int(n**0.5) + 1))

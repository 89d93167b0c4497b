"""Ansor's transformation steps as rows of the feature set `decisions`, without TVM.

Ansor and MetaSchedule decide the same things: tile sizes, where producers are computed, how far to
unroll. The steps of a record are replayed on names of loops alone, which gives the instructions and
decisions of the MetaSchedule trace that would say the same, and `balto.programs.decisions` reads
those. `docs/importing.md` has the map, and what it leaves out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from balto.importers.imported import SkipLine
from balto.programs.decisions import CATEGORIES, COLUMNS, Skeleton

#: Stages, loops of a stage and steps of a program, at most; real ones have some dozens.
MOST = 1000
#: Vector lengths of cooperative fetches are 1 to this.
LONGEST_FETCH = 64
#: Tiling structures of Ansor's sketches, by the number of parts of a spatial axis.
STRUCTURES = {4: "SSRSRS", 5: "SSSRRSRS"}
#: The first code of the loop annotations that bind loops to threads.
VIRTUAL_THREAD = 4

Steps = Sequence[Sequence[Any]]
T = TypeVar("T")


class _Endless(list[T], Generic[T]):
    """A list that makes its items when they are asked for: a record does not say how many."""

    def __init__(self, make: Callable[[int], T]) -> None:
        super().__init__()
        self.make, self.made = make, 0

    def at(self, place: Any) -> T:
        if not isinstance(place, int) or not 0 <= place < MOST:
            raise SkipLine("steps that make no sense")
        while len(self) <= place:
            self.append(self.make(self.made))
            self.made += 1
        return self[place]

    def replace(self, start: int, stop: int, new: Iterable[T]) -> None:
        self.at(stop - 1)
        self[start:stop] = new


@dataclass(frozen=True)
class _Loop:
    name: str
    pieces: int = 1  # loops that were fused into it


@dataclass(eq=False)
class _Stage:
    name: str
    loops: _Endless[_Loop]
    splits: int = 0
    order: list[str] = field(default_factory=list)
    cached: bool = False  # a copy of an input

    def depth(self, place: Any) -> int:
        """How many loops there were outside of and at a place, before any was fused."""
        self.loops.at(place)
        return sum(loop.pieces for loop in self.loops[: place + 1])


@dataclass(frozen=True)
class _Source:
    """Where a decision is: the number of a split, or what was decided for all."""

    kind: str
    value: int


class _Replay:
    """Replays the steps of a program, and writes down what MetaSchedule would have written."""

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self.instructions: list[list[Any]] = []
        self.sources: list[_Source] = []
        self._counts = Counter[str]()
        self._gpu = any(s[0] == "AN" and s[3] >= VIRTUAL_THREAD for s in steps)
        self._main = self._busiest()
        self._stages = self._new_stages()
        for number, step in enumerate(steps):
            self._apply(number, step)
        self._head()

    def _new_stages(self) -> _Endless[_Stage]:
        def stage(_: int) -> _Stage:
            name = self._name("stage")
            return _Stage(name, _Endless(lambda k: _Loop(f"{name}.axis{k}")))

        return _Endless(stage)

    def _name(self, kind: str) -> str:
        self._counts[kind] += 1
        return f"{kind}{self._counts[kind]}"

    def _busiest(self) -> str:
        """Name of the stage with most splits: the one whose tiles the columns describe."""
        self._stages, splits = self._new_stages(), Counter[str]()
        for step in self.steps:
            if step[0] in ("CHW", "CHR", "RF"):
                self._insert(step)
                continue
            stage = self._stages.at(step[1])
            splits[stage.name] += step[0] == "SP"
            if step[0] == "CA":
                self._stages.at(step[2])
        self._counts.clear()
        return max(splits, key=splits.__getitem__, default="")  # the first of equals

    def _insert(self, step: Sequence[Any]) -> _Stage:
        """The stage that a cache or a factored reduction adds."""
        self._stages.at(step[1])
        new = self._stages.make(0)
        place = step[1] + (step[0] == "CHR")
        self._stages.insert(place, new)
        if len(self._stages) > MOST:
            raise SkipLine("steps that make no sense")
        return new

    def _emit(self, name: str, inputs: list[Any], attributes: list[Any], out: list[str]) -> None:
        self.instructions.append([name, inputs, attributes, out])

    def _split(self, stage: _Stage, place: int, parts: int, factors: list[Any]) -> None:
        loop = stage.loops.at(place)
        pieces = [self._name(f"{loop.name}.") for _ in range(parts)]
        stage.loops.replace(place, place + 1, [_Loop(name) for name in pieces])
        self._emit("Split", [loop.name, *(factors or [""])], [], pieces)

    def _apply(self, number: int, step: Sequence[Any]) -> None:
        code = step[0]
        if code in ("CHW", "CHR", "RF"):
            new = self._insert(step)
            new.cached = code == "CHR"
            name = {"CHW": "CacheWrite", "CHR": "CacheRead", "RF": "RFactor"}[code]
            self._emit(name, [], [], [new.name])
            return
        stage = self._stages.at(step[1])
        getattr(self, f"_on_{code.lower()}")(stage, number, step)

    def _on_sp(self, stage: _Stage, number: int, step: Sequence[Any]) -> None:
        loop, parts = stage.loops.at(step[2]), len(step[4]) + 1
        if stage.cached and parts == 2:
            self._categorical("fetch", stage, list(range(1, LONGEST_FETCH + 1)))
            self.sources.append(_Source("fetch", number))
            self._split(stage, step[2], parts, [])
            return
        factors = [self._name("factor") for _ in range(parts)]
        self._emit("SamplePerfectTile", [loop.name], [parts, LONGEST_FETCH], factors)
        self.sources.append(_Source("tile", number))
        stage.splits = max(stage.splits, parts)
        self._split(stage, step[2], parts, factors)

    def _on_fsp(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        self._split(stage, step[2], step[4] + 1, [])

    def _on_ffsp(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        self._split(stage, step[2], 2, [])

    def _on_re(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        loops = [stage.loops.at(k) for k in step[2]]
        stage.loops.replace(0, max(len(loops), 1), loops)
        if stage.name == self._main and not stage.order:
            stage.order = [loop.name for loop in loops]
            self._emit("Reorder", list(stage.order), [], [])

    def _on_fu(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        loops = [stage.loops.at(k) for k in step[2]]
        fused = _Loop(self._name("fused"), sum(loop.pieces for loop in loops))
        if loops:
            stage.loops.replace(step[2][0], step[2][0] + len(loops), [fused])
        self._emit("Fuse", [loop.name for loop in loops], [], [fused.name])

    def _on_an(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        self._emit("Annotate", [stage.loops.at(step[2]).name, step[3]], ["loop"], [])

    def _on_pr(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        name, value = (*step[3].split("$", 1), "")[:2]
        if name == "auto_unroll_max_step" and value.isascii() and value.isdigit():
            self._categorical("unroll", stage, [int(value[:9])])
            self.sources.append(_Source("all", 0))
        else:
            self._emit("Annotate", [stage.name, name], ["pragma"], [])

    def _on_sa(self, stage: _Stage, _: int, __: Sequence[Any]) -> None:
        self._emit("StorageAlign", [stage.name], [], [])

    def _on_ci(self, stage: _Stage, _: int, __: Sequence[Any]) -> None:
        if self._gpu or not any(s.order for s in self._stages):
            self._emit("ComputeInline", [stage.name], [], [])
        else:  # on CPUs it is one of the places that were drawn for a producer
            self._place(-2)

    def _on_cr(self, _: _Stage, __: int, ___: Sequence[Any]) -> None:
        self._place(-1)

    def _on_ca(self, stage: _Stage, _: int, step: Sequence[Any]) -> None:
        depth = self._stages.at(step[2]).depth(step[3])
        order = next((s.order for s in self._stages if s.name == self._main), [])
        loop = order[depth - 1] if depth <= len(order) else ""
        if stage.name == self._main:
            self._emit("ReverseComputeAt", [self._stages.at(step[2]).name, loop], [], [])
        elif stage.cached:
            self._emit("ComputeAt", [stage.name, loop], [], [])
        else:
            self._place(depth - 1)
            self._emit("ComputeAt", [stage.name, loop], [], [])

    def _place(self, loop: int) -> None:
        self._emit("SampleComputeLocation", [], [], [self._name("place")])
        self.sources.append(_Source("all", loop))

    def _categorical(self, kind: str, stage: _Stage, values: list[int]) -> None:
        drawn = self._name("drawn")
        self._emit("SampleCategorical", [], [values, []], [drawn])
        self._emit("Annotate", [stage.name, drawn], [CATEGORIES[kind][0]], [])

    def _head(self) -> None:
        """The blocks and loops that everything begins with, and how the main block is tiled."""
        head: list[list[Any]] = []
        for stage in self._stages:
            loops = [f"{stage.name}.axis{k}" for k in range(stage.loops.made)]
            head.append(["GetSBlock", [], [], [stage.name]])
            head.append(["GetLoops", [stage.name], [], loops])
            if stage.name == self._main and stage.splits in STRUCTURES:
                structure = STRUCTURES[stage.splits]
                key = "meta_schedule.tiling_structure"
                head.append(["Annotate", [stage.name, structure], [key], []])
        self.instructions = head + self.instructions


#: What follows the code of each step, by type: i number, l list of numbers, s text.
_FORMS = {
    **dict.fromkeys(("CI", "CR"), "i"),
    **dict.fromkeys(("AN", "CA", "RF"), "iii"),
    **dict.fromkeys(("FU", "RE"), "il"),
    **dict.fromkeys(("FSP", "SA"), "iiii"),
    **dict(
        zip(("SP", "FFSP", "PR", "CHR", "CHW"), ("iiili", "iilii", "iis", "isl", "is"), strict=True)
    ),
}


def check(steps: Any) -> None:
    """Refuse what are no steps of Ansor's.

    Raises:
        SkipLine: they are something else, or of a kind that is not known here.
    """
    if not isinstance(steps, list) or len(steps) > MOST:
        raise SkipLine("steps that make no sense")
    for step in steps:
        if not isinstance(step, list) or not step or not isinstance(step[0], str):
            raise SkipLine("steps that make no sense")
        form = _FORMS.get(step[0])
        if form is None:
            raise SkipLine(f"a kind of step that is not known here ({step[0][:8]!r})")
        if len(step) != len(form) + 1 or not all(map(_fits, form, step[1:])):
            raise SkipLine("steps that make no sense")
        if step[0] == "SP" and not (step[3] >= 0 and all(n >= 1 for n in step[4])):
            raise SkipLine("steps that make no sense")
        if step[0] == "FSP" and not 0 <= step[4] < MOST:
            raise SkipLine("steps that make no sense")


def _fits(kind: str, value: Any) -> bool:
    if kind == "i":
        return type(value) is int and abs(value) < 2**53
    if kind == "l":
        return (
            isinstance(value, list)
            and len(value) < MOST
            and all(type(n) is int and 0 <= n < 2**31 for n in value)
        )
    return isinstance(value, str)


class StepReader:
    """Turns the steps of many programs of one task into rows; programs of one form are read once.

    Not all at a time: call `rows` for as many as memory should hold.
    """

    def __init__(self) -> None:
        self._forms: dict[str, tuple[Skeleton, list[_Source]]] = {}

    def form(self, steps: Steps) -> str:
        """What programs share that differ in tile sizes only.

        Raises:
            SkipLine: the steps make no sense.
        """
        key = json.dumps([[*s[:4], len(s[4]), s[5]] if s[0] == "SP" else s for s in steps])
        if key not in self._forms:
            try:
                replay = _Replay(steps)
                skeleton = Skeleton(replay.instructions)
            except Exception:  # nothing but the steps was looked at
                raise SkipLine("steps that make no sense") from None
            if len(self._forms) >= MOST:
                self._forms.clear()  # made again where they are asked for again
            self._forms[key] = skeleton, replay.sources
        return key

    def rows(self, programs: Sequence[Steps]) -> NDArray[np.float32]:
        """Rows of `decisions`, `n x 135`, of programs that `form` takes."""
        groups: dict[str, list[int]] = {}
        table = np.empty((len(programs), len(COLUMNS)), np.float32)
        for number, steps in enumerate(programs):
            groups.setdefault(self.form(steps), []).append(number)
        for key, members in groups.items():
            self.form(programs[members[0]])
            skeleton, sources = self._forms[key]
            decided = [[_decided(s, programs[k]) for k in members] for s in sources]
            rows = skeleton.rows([np.array(d, np.float64) for d in decided])
            table[members] = rows
        return table


def _decided(source: _Source, steps: Steps) -> Any:
    if source.kind == "all":
        return source.value
    _, _, _, extent, lengths, inwards = steps[source.value]
    if source.kind == "fetch":
        return min(lengths[0], LONGEST_FETCH) - 1
    rest = max(1, -(-extent // max(1, prod(lengths))))
    return [rest, *lengths] if inwards else [*lengths, rest]

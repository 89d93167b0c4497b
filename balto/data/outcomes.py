"""Outcomes of many programs, one column a field: a million of them are a few arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_number, check_vector
from balto.data.outcome import Outcome, Status

#: A status is kept as its place in this list.
STATUSES = tuple(Status)
#: The place of a program that was not measured.
UNMEASURED = 255
#: The fields of an `Outcome` that are columns of seconds or ratios; NaN where unknown.
NUMBERS = ("latency_s", "latency_median_s", "build_s", "measure_s", "spread")


class Outcomes:
    """What measuring each of `n` programs gave, or that it was not measured.

    All fields of an `Outcome` but the device and its probes, which say nothing of the program.

    Args:
        size: `n`, none of them measured yet.

    Attributes:
        status: `n` uint8, places in `STATUSES`, or `UNMEASURED`.
        numbers: `n` float64 each, by the names in `NUMBERS`.
        repeats: `n` int32.
        messages: of the programs that have one.
    """

    def __init__(self, size: int = 0) -> None:
        check_number("size", size, 0, whole=True)
        self.status = np.full(size, UNMEASURED, np.uint8)
        self.numbers = {name: np.full(size, np.nan) for name in NUMBERS}
        self.repeats = np.zeros(size, np.int32)
        self.messages: dict[int, str] = {}

    @classmethod
    def of(cls, outcomes: Iterable[Outcome | None]) -> Outcomes:
        """Gather one outcome, or None, a program.

        Args:
            outcomes: None for what was not measured.

        Returns:
            As many.
        """
        listed = list(outcomes)
        gathered = cls(len(listed))
        for program, outcome in enumerate(listed):
            gathered[program] = outcome
        return gathered

    @classmethod
    def from_columns(
        cls,
        status: NDArray[np.uint8],
        numbers: Mapping[str, NDArray[np.float64]],
        repeats: NDArray[np.int32],
        messages: Mapping[int, str],
    ) -> Outcomes:
        """Take over columns that are there; see the attributes.

        Args:
            status: `n`.
            numbers: `n` each, by name.
            repeats: `n`.
            messages: of the programs that have one.

        Returns:
            Outcomes of `n` programs, which share the columns.

        Raises:
            InputError: If a column is not a vector.
        """
        for name, column in {"status": status, "repeats": repeats, **numbers}.items():
            check_vector(f"the column {name}", column)
        made = cls()
        made.status, made.numbers, made.repeats = status, dict(numbers), repeats
        made.messages = dict(messages)
        return made

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, program: int) -> Outcome | None:
        """One program's outcome; None where it was not measured."""
        place = int(self.status[program])
        if place == UNMEASURED:
            return None
        numbers: dict[str, Any] = {n: float(column[program]) for n, column in self.numbers.items()}
        return Outcome(
            status=STATUSES[place],
            repeats=int(self.repeats[program]),
            message=self.messages.get(program, ""),
            **numbers,
        )

    def __setitem__(self, program: int, outcome: Outcome | None) -> None:
        self.messages.pop(program, None)
        if outcome is None:
            self.status[program], self.repeats[program] = UNMEASURED, 0
            for column in self.numbers.values():
                column[program] = np.nan
            return
        self.status[program] = STATUSES.index(outcome.status)
        self.repeats[program] = outcome.repeats
        for name, column in self.numbers.items():
            column[program] = getattr(outcome, name)
        if outcome.message:
            self.messages[program] = outcome.message

    def put(self, programs: NDArray[np.integer], outcomes: Outcomes) -> None:
        """Set many at once; of a program that comes twice, the later one stays.

        Args:
            programs: their places.
            outcomes: as many.
        """
        _, back = np.unique(programs[::-1], return_index=True)
        last = len(programs) - 1 - back
        programs, outcomes = programs[last], outcomes.take(last)
        for program in programs.tolist() if self.messages else ():
            self.messages.pop(program, None)
        self.status[programs], self.repeats[programs] = outcomes.status, outcomes.repeats
        for name, column in self.numbers.items():
            column[programs] = outcomes.numbers[name]
        self.messages.update({int(programs[i]): text for i, text in outcomes.messages.items()})

    def __repr__(self) -> str:
        return f"Outcomes({len(self)} programs, {int(self.measured.sum())} measured)"

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which programs were measured, `n`."""
        return np.asarray(self.status != UNMEASURED)

    @property
    def ok(self) -> NDArray[np.bool_]:
        """Which programs have a latency, `n`."""
        return np.asarray(self.status == STATUSES.index(Status.OK))

    @property
    def too_dear(self) -> NDArray[np.bool_]:
        """Which programs took far longer to build than foretold, and were ended, `n`."""
        return np.asarray(self.status == STATUSES.index(Status.TOO_DEAR))

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """Latency of each program, seconds; NaN where unmeasured or failed."""
        return self.numbers["latency_s"]

    @property
    def seconds(self) -> NDArray[np.float64]:
        """What building and measuring each program cost, seconds; 0 where unknown."""
        both = np.nan_to_num(self.numbers["build_s"]) + np.nan_to_num(self.numbers["measure_s"])
        return np.asarray(np.where(self.measured, both, 0.0))

    def counts(self) -> Counter[str]:
        """How many measurements ended in which status.

        Returns:
            Number by status.
        """
        places, counts = np.unique(self.status[self.measured], return_counts=True)
        return Counter({STATUSES[p].value: int(n) for p, n in zip(places, counts, strict=True)})

    def take(self, programs: NDArray[np.integer]) -> Outcomes:
        """Of the given programs, in the given order.

        Args:
            programs: their places.

        Returns:
            A copy.

        Raises:
            InputError: If `programs` is not a vector.
        """
        check_vector("programs", programs)
        programs = np.asarray(programs, dtype=np.int64)
        places = enumerate(programs.tolist()) if self.messages else ()
        return Outcomes.from_columns(
            self.status[programs],
            {name: column[programs] for name, column in self.numbers.items()},
            self.repeats[programs],
            {new: self.messages[old] for new, old in places if old in self.messages},
        )

    @classmethod
    def concatenate(cls, parts: Iterable[Outcomes]) -> Outcomes:
        """Join several, in order.

        Args:
            parts: the outcomes.

        Returns:
            All of them, copied.
        """
        listed = [cls(), *parts]
        starts = np.cumsum([0, *(len(p) for p in listed)])
        return cls.from_columns(
            np.concatenate([p.status for p in listed]),
            {name: np.concatenate([p.numbers[name] for p in listed]) for name in NUMBERS},
            np.concatenate([p.repeats for p in listed]),
            {
                int(start) + program: text
                for start, part in zip(starts, listed, strict=False)
                for program, text in part.messages.items()
            },
        )

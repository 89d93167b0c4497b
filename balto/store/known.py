"""What stores know of a task before it is searched: times, programs to try, relatives."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from balto.arguments import check_number
from balto.data.outcome import Outcome
from balto.journal.records import LARGEST, outcome_to_record, possible_outcome, text_of
from balto.store.entry import Entry, Place, Program
from balto.store.identity import Identity

#: Programs of other places that are tried, the fastest of each entry in turn; relatives, the
#: nearest ones, and the fastest programs of each.
_SEEDS, _RELATIVES, _OF_A_RELATIVE = 8, 4, 24


@dataclass(frozen=True, kw_only=True)
class FromStore:
    """What a tuning did not have to measure, since a store knew it.

    Attributes:
        tasks: of which the same place had measured programs.
        trials: how many programs those are.
        seconds: what measuring them had taken.
    """

    tasks: int = 0
    trials: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, known: Iterable[Known]) -> FromStore:
        """What is known of some tasks, together.

        Args:
            known: each of another task.

        Returns:
            How many tasks and trials those are, and their seconds.
        """
        trials = [list(each.trials.values()) for each in known if each.programs]
        every = [outcome for each in trials for outcome in each]
        return cls(
            tasks=len(trials), trials=len(every), seconds=sum((o.seconds for o in every), 0.0)
        )

    @classmethod
    def sum(cls, parts: Iterable[FromStore]) -> FromStore:
        """All of it.

        Args:
            parts: each of other tasks.

        Returns:
            Their tasks, trials and seconds added up.
        """
        each = list(parts)
        return cls(
            tasks=sum(part.tasks for part in each),
            trials=sum(part.trials for part in each),
            seconds=sum((part.seconds for part in each), 0.0),
        )


@dataclass(frozen=True, kw_only=True)
class Relative:
    """The same operator with other shapes.

    Attributes:
        key: of its task.
        module: TVM's JSON of it.
        programs: trace and seconds of some of its programs, the fastest ones, in that order.
        same_place: whether they were measured where we measure.
    """

    key: str
    module: str = field(repr=False)
    programs: Sequence[tuple[str, float]] = field(repr=False)
    same_place: bool


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a task.

    Attributes:
        programs: what the same place measured, by trace, in the order of the first measurement;
            the untuned program's trace is empty.
        seeds: traces that another place measured, the most promising ones first.
        relatives: the nearest first.
        dry: whether the same place found nothing more to measure.
        at: when this computer measured last, seconds since 1970; 0 if it did not.
    """

    programs: Mapping[str, Sequence[Outcome]] = field(default_factory=dict)
    seeds: Sequence[str] = ()
    relatives: Sequence[Relative] = ()
    dry: bool = False
    at: float = 0.0

    @property
    def trials(self) -> Mapping[str, Outcome]:
        """The first measurement of each program at the same place, without the untuned one."""
        return {trace: outcomes[0] for trace, outcomes in self.programs.items() if trace}

    @property
    def anything(self) -> bool:
        """Whether anything is known at all."""
        return bool(self.programs or self.seeds or self.relatives)

    def fastest(self) -> list[tuple[str, float]]:
        """The programs that worked, without the untuned one.

        Returns:
            Trace and seconds of each, the fastest first.
        """
        timed = [(trace, _seconds(outcomes)) for trace, outcomes in self.programs.items() if trace]
        return sorted((s for s in timed if math.isfinite(s[1])), key=lambda each: each[1])

    def as_seeds(self) -> Known:
        """For a place that has changed: its programs are tried anew.

        Returns:
            The same without times, its fastest programs as the first seeds.
        """
        seeds = [*(trace for trace, _ in self.fastest()[:_SEEDS]), *self.seeds][:_SEEDS]
        relatives = [replace(each, same_place=False) for each in self.relatives]
        return Known(seeds=seeds, relatives=relatives)

    def to_record(self) -> dict[str, Any]:
        """For a journal.

        Returns:
            What `of` reads.
        """
        return {
            "programs": [
                [trace, [outcome_to_record(each) for each in outcomes]]
                for trace, outcomes in self.programs.items()
            ],
            "seeds": list(self.seeds),
            "relatives": [vars(each) for each in self.relatives],
            "dry": self.dry,
            "at": self.at,
        }

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Known:
        """The inverse of `to_record`.

        Args:
            record: read from a journal.

        Returns:
            What was written.

        Raises:
            InputError: If an outcome cannot be, or what should be text is none.
        """
        return cls(
            programs={
                text_of({"trace": trace}, "trace"): [possible_outcome(each) for each in outcomes]
                for trace, outcomes in record["programs"]
            },
            seeds=[text_of({"seed": each}, "seed") for each in record["seeds"]],
            relatives=[
                Relative(
                    key=text_of(each, "key"),
                    module=text_of(each, "module"),
                    programs=[(str(trace), float(s)) for trace, s in each["programs"]],
                    same_place=each["same_place"] is True,
                )
                for each in record["relatives"]
            ],
            dry=record["dry"] is True,
            at=check_number("at", record["at"], 0, LARGEST),
        )


def merged(entries: Sequence[Entry]) -> dict[str, Program]:
    """What several entries say of each program, each fact once, in the order of the entries."""
    programs: dict[str, Program] = {}
    for entry in entries:
        for trace, program in entry.programs.items():
            into = programs.setdefault(trace, Program())
            for when, outcome in program.times:
                into.add(when, outcome)
            into.errors.update(program.errors)
    return programs


def known_of(
    place: Place, entries: Sequence[Entry], relatives: Sequence[Relative], host: str = ""
) -> Known:
    """What entries of one task say, to somebody who measures at a place, on the computer `host`."""
    here = [each for each in entries if each.head.place == place]
    elsewhere = [_fastest(each.programs) for each in entries if each.head.place != place]
    programs = merged(here)
    seeds: dict[str, None] = {}
    for rank in range(_SEEDS):
        seeds.update((each[rank][0], None) for each in elsewhere if rank < len(each))
    return Known(
        programs={trace: each.outcomes for trace, each in programs.items() if each.times},
        seeds=[trace for trace in seeds if trace not in programs][:_SEEDS],
        relatives=relatives,
        dry=any(each.dry for each in here),
        at=max((each.last for each in here if each.head.host == host), default=0.0),
    )


def relative_of(place: Place, identity: Identity, entries: Sequence[Entry]) -> Relative | None:
    """The entries of another task as a relative; None if nothing of them can be used."""
    here = [each for each in entries if each.head.place == place]
    used = [each for each in here or entries if each.module]
    programs = _fastest(merged(used))[:_OF_A_RELATIVE]
    if not programs:
        return None
    return Relative(
        key=identity.key, module=used[0].module, programs=programs, same_place=bool(here)
    )


def nearest(identities: Sequence[Identity]) -> list[Identity]:
    """The tasks of some heads, each once, as many as are asked for relatives."""
    return list({each.key: each for each in identities}.values())[:_RELATIVES]


def _fastest(programs: Mapping[str, Program]) -> list[tuple[str, float]]:
    right = {trace: p for trace, p in programs.items() if not any(e > 1 for e in p.errors.values())}
    return Known(programs={trace: p.outcomes for trace, p in right.items()}).fastest()


def _seconds(outcomes: Sequence[Outcome]) -> float:
    """The median, the lower one of two; NaN if none worked."""
    worked = sorted(each.latency_median_s for each in outcomes if each.ok)
    return worked[(len(worked) - 1) // 2] if worked else math.nan

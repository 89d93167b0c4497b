"""A campaign's facts, kept in its journal; `balto.campaign.records` says what one looks like."""

from __future__ import annotations

import math
import time
from array import array
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from balto.arguments import check_number
from balto.campaign.columns import Measurements
from balto.campaign.config import Config
from balto.campaign.fleet import Fleet
from balto.campaign.records import (
    Kind,
    Programs,
    outcome_of,
    programs_of,
    reference_of,
    round_of,
    selection_of,
)
from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes
from balto.errors import InputError
from balto.journal import parts
from balto.journal.file import Follower, Journal, lines
from balto.journal.records import at, outcome_to_record, text_of
from balto.learn.all_labels import Reference
from balto.learn.round import Round, accuracy_to_dict, round_to_dict
from balto.learn.store import OutcomeStore, RoundLog, Selection


class Facts:
    """What a journal says.

    Args:
        records: to begin with, in order.

    Attributes:
        config: what the campaign was started with; None before it began.
        left_out: reason by task name.
        retried: names of the tasks that were left out before and tried again.
        programs: of each task that has some, by name.
        outcomes: of all measurements.
        selections: by selector and round.
        rounds: round by selector and number.
        reference: what a model of all labels reaches; None while that is not known.
        finished: whether nothing is left to do.
        tasks: how many tasks there are to draw programs of; None while that is not known.
        times: when each measurement was journalled, seconds since 1970, in order; those of
            campaigns before this was kept have none.
        fleet: what the devices did that outcomes name.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.config: Config | None = None
        self.left_out: dict[str, str] = {}
        self.retried: set[str] = set()
        self.programs: dict[str, Programs] = {}
        self.outcomes = OutcomeStore()
        self.selections: dict[tuple[str, int], Selection] = {}
        self.rounds: dict[tuple[str, int], Round] = {}
        self.reference: Reference | None = None
        self.finished = False
        self.tasks: int | None = None
        self.times = array("d")
        self.fleet = Fleet()
        for record in records:
            self.add(record)

    @classmethod
    def read(cls, path: Path) -> Self:
        """What the journal at `path` says.

        Args:
            path: of the journal.

        Raises:
            CampaignError: If the journal is damaged, or a record says what cannot be; with its
                line.
        """
        facts = cls()
        facts.add_all(path)
        return facts

    def add_all(self, path: Path) -> None:
        """Take in every record of a journal.

        Args:
            path: of the journal.

        Raises:
            CampaignError: If the journal is damaged, or a record says what cannot be.
        """
        self._add_lines(path, lines(path))

    def _add_lines(self, path: Path, records: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        for number, record in records:
            if number == 1 and parts.parts_of(record):
                self._add_folded(path, record)
                continue
            with at(f"{path}: line {number}"):
                self.add(record)

    def _add_folded(self, path: Path, first: Mapping[str, Any]) -> None:
        """Take in what was folded, measurements by columns."""
        number, gathered = 1, list[Measurements]()
        for run in parts.read_parts(path.parent, first):
            measured = parts.is_measurements(run)
            columns = Measurements.of(run, self.programs) if measured else None
            if columns is not None:
                gathered.append(columns)
            else:  # no measurements, or one of them is wrong: then this says which
                if measured:  # of one program, the later one counts
                    self._add_measurements(gathered)
                    gathered = []
                for k, record in enumerate(parts.records_of(run)):
                    with at(f"{path}: record {number + k} of the folded part"):
                        self.add(record)
            number += len(run)
        self._add_measurements(gathered)

    def _add_measurements(self, gathered: list[Measurements]) -> None:
        if gathered:
            together = Measurements.concatenate(gathered)
            self.times.frombytes(together.at[~np.isnan(together.at)].tobytes())
            together.give(self.outcomes, self.fleet)

    def follow(self, follower: Follower) -> Self:
        """Take in what a journal says since the last time; returns new facts if it began anew.

        Args:
            follower: of the journal.

        Returns:
            These facts, or new ones.

        Raises:
            CampaignError: If the journal is damaged, or a record says what cannot be.
        """
        anew, records = follower.new()
        facts = type(self)() if anew else self
        facts._add_lines(follower.path, records)
        return facts

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in one record.

        Args:
            record: one JSON object.

        Raises:
            InputError: If the record says what cannot be.
            KeyError: If the record lacks a value.
        """
        match record["kind"]:
            case Kind.CONFIG:
                values = {k: v for k, v in record.items() if k != "kind"}
                self.config = Config.from_dict(values)
            case Kind.TASKS:
                check_number("count of tasks", record["count"], 0, whole=True)
                self.tasks = record["count"]
            case Kind.LEFT_OUT:
                self.left_out[text_of(record, "task")] = text_of(record, "reason")
            case Kind.RETRY:
                self.left_out.pop(text_of(record, "task"), None)
                self.retried.add(record["task"])
                self.finished, self.reference = False, None
            case Kind.PROGRAMS:
                task = text_of(record, "task")
                self.programs[task] = programs_of(record, self.programs.get(task))
            case Kind.MEASUREMENT:
                task, program, outcome = outcome_of(record, self.programs)
                self.outcomes.add(task, program, outcome)
                at = float(record.get("at", math.nan))
                if "at" in record:
                    self.times.append(at)
                if outcome.device:
                    self.fleet.add(outcome, at)
            case Kind.SELECTION:
                key, selection = selection_of(record, self.programs)
                self.selections[key] = selection
            case Kind.ROUND:
                key, result = round_of(record)
                self.rounds[key] = result
            case Kind.REFERENCE:
                self.reference = reference_of(record)
            case Kind.FINISHED:
                self.finished = True
            case kind:
                raise InputError(f"expected a kind of record that is known here, got {kind!r}")

    def curve(self, selector: str) -> list[Round]:
        """The rounds of one selector, in order.

        Args:
            selector: its name with its hyper-parameters.

        Returns:
            In order.
        """
        return [r for (name, _), r in sorted(self.rounds.items()) if name == selector]


class JournalledFacts(Facts):
    """Facts whose additions are journalled.

    Args:
        journal: open for writing; what it says so far is taken in.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self.journal = journal
        self.add_all(journal.path)

    def note(self, record: Mapping[str, Any]) -> None:
        """Take in one record and journal it.

        Raises:
            InputError: it says what cannot be; then it is not journalled.
            StorageError: it cannot be written.
        """
        self.add(record)
        self.journal.append(record)

    def note_reference(self, found: Reference) -> None:
        """Journal what a model of all labels reaches."""
        accuracy = accuracy_to_dict(found.accuracy)
        record = {"kind": Kind.REFERENCE, "measurements": found.measurements, "accuracy": accuracy}
        self.note(record)


class JournalledOutcomes(OutcomeStore):
    """The outcomes of a campaign: a new one is journalled.

    Args:
        facts: of the campaign.
        on_outcome: called after every new measurement.
    """

    def __init__(self, facts: JournalledFacts, on_outcome: Callable[[Outcome], None]) -> None:
        super().__init__(facts.outcomes)
        self._facts, self._on_outcome = facts, on_outcome

    def add(self, task: str, program: int, outcome: Outcome) -> None:
        """Journal a measurement."""
        record = {"kind": Kind.MEASUREMENT, "task": task, "program": program}
        at = {"at": round(time.time(), 1)}
        self._facts.note({**record, **outcome_to_record(outcome), **at})
        self._on_outcome(outcome)

    def add_many(self, task: str, programs: NDArray[np.integer], outcomes: Outcomes) -> None:
        """Journal some measurements, one by one."""
        for place, program in enumerate(programs.tolist()):
            if (outcome := outcomes[place]) is not None:
                self.add(task, program, outcome)


class JournalledRounds(RoundLog):
    """The selections and rounds of one selector of a campaign.

    Args:
        facts: of the campaign.
        selector: its name.
    """

    def __init__(self, facts: JournalledFacts, selector: str) -> None:
        super().__init__()
        self._facts, self._selector = facts, selector

    @property
    def late(self) -> frozenset[str]:
        """Tasks that were left out before and tried again."""
        return frozenset(self._facts.retried)

    def selection(self, number: int) -> Selection | None:
        """A selection that was journalled."""
        return self._facts.selections.get((self._selector, number))

    def add_selection(self, number: int, selection: Selection) -> None:
        """Journal a selection, and make sure that it is on disk before it is measured."""
        record = {"picks": dict(selection.picks), "rules": dict(selection.rules)}
        named = {"kind": Kind.SELECTION, "selector": self._selector, "round": number}
        self._facts.note({**named, **record})
        self._facts.journal.sync()

    def add_round(self, result: Round) -> None:
        """Journal a round's result, once; again if it has other measurements by now."""
        known = self._facts.rounds.get((self._selector, result.round))
        if known is None or known.measurements != result.measurements:
            record = round_to_dict(result)
            self._facts.note({"kind": Kind.ROUND, "selector": self._selector, **record})

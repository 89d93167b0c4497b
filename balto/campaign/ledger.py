"""A campaign's facts, kept in its journal.

Records, one JSON object each; tasks go by name, since that is what stays the same:

- ``{"kind": "left_out", "task", "reason"}``: a task that could not be sampled;
- ``{"kind": "measurement", "task", "program", "status", "latency_s", ...}``;
- ``{"kind": "selection", "selector", "round", "picks": {task: [program, ...]}, "rules"}``;
- ``{"kind": "round", "selector", "round", ...}``: what `balto.learn.loop.Round` holds;
- ``{"kind": "finished"}``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from balto.learn.loop import Ledger, Picks
from balto.learn.round import Round, round_from_dict, round_to_dict
from balto.measure.outcome import Outcome
from balto.pool.journal import Journal, outcome_from_record, outcome_to_record
from balto.tasks.task import Task


class Facts:
    """What a journal says.

    Attributes:
        left_out: reason by task name.
        outcomes: outcome by task name and program.
        selections: ``(picks by task name, rules)`` by selector and round.
        rounds: round by selector and number.
        finished: whether nothing is left to do.
    """

    def __init__(self, records: Iterable[Mapping[str, Any]] = ()) -> None:
        self.left_out: dict[str, str] = {}
        self.outcomes: dict[tuple[str, int], Outcome] = {}
        self.selections: dict[tuple[str, int], tuple[dict[str, list[int]], dict[str, int]]] = {}
        self.rounds: dict[tuple[str, int], Round] = {}
        self.finished = False
        for record in records:
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take in one record."""
        match record["kind"]:
            case "left_out":
                self.left_out[record["task"]] = record["reason"]
            case "measurement":
                self.outcomes[record["task"], record["program"]] = outcome_from_record(record)
            case "selection":
                key = record["selector"], record["round"]
                self.selections[key] = record["picks"], record["rules"]
            case "round":
                values = {k: v for k, v in record.items() if k not in ("kind", "selector")}
                self.rounds[record["selector"], record["round"]] = round_from_dict(values)
            case "finished":
                self.finished = True

    def curve(self, selector: str) -> list[Round]:
        """The rounds of one selector, in order."""
        return [r for (name, _), r in sorted(self.rounds.items()) if name == selector]


class JournalLedger(Ledger):
    """The ledger of one selector's rounds; several share a journal and its measurements.

    Args:
        journal: open for writing.
        facts: what it says so far; kept up to date.
        tasks: the pool's tasks, in order.
        selector: whose selections and rounds these are.
        on_outcome: called after every new measurement.
    """

    def __init__(
        self,
        journal: Journal,
        facts: Facts,
        tasks: Sequence[Task],
        selector: str,
        on_outcome: Callable[[Outcome], None],
    ) -> None:
        super().__init__()
        self._journal, self._facts, self._selector = journal, facts, selector
        self._tasks = tasks
        self._ids = {task.name: k for k, task in enumerate(tasks)}
        self._on_outcome = on_outcome
        self.outcomes = {
            (self._ids[name], program): outcome
            for (name, program), outcome in facts.outcomes.items()
            if name in self._ids
        }

    def add_outcome(self, task_id: int, program_id: int, outcome: Outcome) -> None:
        """Journal a measurement."""
        super().add_outcome(task_id, program_id, outcome)
        name = self._tasks[task_id].name
        self._add(
            {
                "kind": "measurement",
                "task": name,
                "program": program_id,
                **outcome_to_record(outcome),
            }
        )
        self._on_outcome(outcome)

    def selection(self, round_number: int) -> tuple[Picks, dict[str, int]] | None:
        """A selection that was journalled."""
        kept = self._facts.selections.get((self._selector, round_number))
        if kept is None:
            return None
        picks, rules = kept
        return {self._ids[name]: programs for name, programs in picks.items()}, rules

    def add_selection(self, round_number: int, picks: Picks, rules: dict[str, int]) -> None:
        """Journal a selection, and make sure that it is on disk before it is measured."""
        named = {self._tasks[k].name: programs for k, programs in picks.items()}
        record = {"selector": self._selector, "round": round_number, "picks": named, "rules": rules}
        self._add({"kind": "selection", **record})
        self._journal.sync()

    def add_round(self, result: Round) -> None:
        """Journal a round's result, once."""
        if (self._selector, result.round) not in self._facts.rounds:
            self._add({"kind": "round", "selector": self._selector, **round_to_dict(result)})

    def _add(self, record: dict[str, Any]) -> None:
        self._journal.append(record)
        self._facts.add(record)

"""Outcomes and rounds that a campaign keeps in its journal keep the laws of those in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from balto.campaign.facts import Facts, JournalledFacts, JournalledOutcomes, JournalledRounds
from balto.journal.file import Journal, read
from balto.learn.store import OutcomeStore, RoundLog
from balto.testing import OutcomeStoreContract, RoundLogContract
from balto.testing.stores import PROGRAMS, TASKS


class Journals:
    """Opens journals, and closes them when a test is over."""

    @pytest.fixture(autouse=True)
    def _journals(self) -> Iterator[None]:
        self.journals: list[Journal] = []
        yield
        for journal in self.journals:
            journal.close()

    def facts(self, folder: Path) -> JournalledFacts:
        self.journals.append(Journal.open(folder / "journal.jsonl"))
        facts = JournalledFacts(self.journals[-1])
        for task in TASKS:
            record = {"kind": "programs", "task": task, "count": PROGRAMS}
            facts.note({**record, "file": None, "traces": None})
        self.last = facts
        return facts

    def records(self, folder: Path, kind: str) -> int:
        return sum(record["kind"] == kind for record in read(folder / "journal.jsonl"))


class TestOutcomes(Journals, OutcomeStoreContract):
    def make(self, folder: Path) -> OutcomeStore:
        return JournalledOutcomes(self.facts(folder), lambda _: None)

    def reopened(self, store: OutcomeStore, folder: Path) -> OutcomeStore:  # noqa: ARG002
        return Facts.read(folder / "journal.jsonl").outcomes


class TestRounds(Journals, RoundLogContract):
    def make(self, folder: Path) -> RoundLog:
        return JournalledRounds(self.facts(folder), "balto")

    def another(self) -> RoundLog:
        return JournalledRounds(self.last, "random")

    def reopened(self, log: RoundLog, folder: Path) -> RoundLog:  # noqa: ARG002
        found = RoundLog()
        kept = Facts.read(folder / "journal.jsonl").selections
        for (selector, number), selection in kept.items():
            if selector == "balto":
                found.add_selection(number, selection)
        return found

    def test_law_4_results_change_no_selection(self, tmp_path: Path) -> None:
        super().test_law_4_results_change_no_selection(tmp_path)
        assert self.records(tmp_path, "round") == 1

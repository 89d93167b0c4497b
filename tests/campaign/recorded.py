"""A small live campaign whose programs were all measured, and a measurer that says it again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from balto.campaign.config import Config
from balto.data.candidate import Candidate
from balto.data.outcome import Outcome
from balto.journal.file import read
from balto.learn.store import OutcomeStore
from balto.measure.measurer import Measurer

OPERATORS = ("matmul:32x32x32", "softmax_mn:32x32", "matmul:48x32x32", "matmul_relu:32x32x32")
CONFIG = Config(operators=OPERATORS, programs=12, budget=0.6, rounds=3, test_share=0.25)


class ByName(Measurer):
    """Yields what is known of a program, whatever the number of its task."""

    def __init__(self, known: OutcomeStore) -> None:
        self.known = known

    def measure(self, candidates: Sequence[Candidate]) -> Iterator[tuple[int, Outcome]]:
        for index, each in enumerate(candidates):
            outcome = self.known.of(each.task.name)[each.program_id]
            assert outcome is not None, f"{each.task.name} {each.program_id} was never measured"
            yield index, outcome


def selections(work_dir: Path) -> list[tuple[str, int, Mapping[str, Any]]]:
    records = read(work_dir / "journal.jsonl")
    return [(r["selector"], r["round"], r["picks"]) for r in records if r["kind"] == "selection"]


def traces(work_dir: Path) -> dict[str, str]:
    """Checksums of what was drawn, by task."""
    records = read(work_dir / "journal.jsonl")
    return {r["task"]: r["traces"] for r in records if r["kind"] == "programs"}

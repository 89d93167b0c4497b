"""Outcomes and rounds that are kept in memory keep the laws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from balto.learn.store import OutcomeStore, RoundLog
from balto.testing import OutcomeStoreContract, RoundLogContract
from balto.testing.stores import TASKS, check_same, made_up_outcome


class TestOutcomes(OutcomeStoreContract):
    def make(self, folder: Path) -> OutcomeStore:  # noqa: ARG002
        return OutcomeStore()

    def test_stores_that_share_their_contents_see_what_either_is_given(self) -> None:
        rng, store = np.random.default_rng(0), OutcomeStore()
        shared = OutcomeStore(store)
        known = {(task, k): made_up_outcome(rng) for task in TASKS for k in (3, 8, 1)}
        for k, ((task, program), outcome) in enumerate(known.items()):
            (store, shared)[k % 2].add(task, program, outcome)
        check_same(store, known)
        check_same(shared, known)


class TestRounds(RoundLogContract):
    def make(self, folder: Path) -> RoundLog:  # noqa: ARG002
        return RoundLog()

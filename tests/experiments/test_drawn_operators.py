"""Operators of random shapes, of which two pools were recorded."""

from pathlib import Path

import balto
from balto.tasks.operators import OPERATORS, parse
from experiments.operators import KINDS, operators

POOLS = Path(__file__).resolve().parents[2] / "pools"


def test_the_same_operators_are_drawn_as_those_of_the_recorded_pools():
    drawn = [spec.replace(":", "_") for spec in operators(200, seed=0)]
    for pool, specs in (("epyc-avx2-broad", drawn[:40]), ("epyc-avx512-broad", drawn[40:])):
        assert {task.name for task in balto.read_pool(POOLS / pool).tasks} == set(specs)


def test_all_are_different_and_kinds_come_as_often_as_said():
    drawn = list(operators(100, seed=1))
    names = [parse(spec)[0] for spec in drawn]
    assert len(set(drawn)) == len(drawn)
    assert {kind: names.count(kind) for kind in OPERATORS} == KINDS

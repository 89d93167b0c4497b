"""The short form of `benchmarks/soak.py --hostile`: live campaigns under real faults."""

from __future__ import annotations

import pytest

from benchmarks._hostile import FAULTS, WRONGS, Week

pytest.importorskip("tvm")


@pytest.mark.slow
def test_a_hostile_minute_loses_nothing_and_gives_the_model_of_a_calm_one(tmp_path):
    week = Week(tmp_path, seed=0, settings={"programs": 12, "budget": 0.5, "rounds": 4})
    report = week.run(faults=8, seconds=30)
    assert {name: report[name] for name in WRONGS} == dict.fromkeys(WRONGS, 0), report["what"]
    assert sum(report["faults"].values()) >= 1
    assert set(report["not_tried"]) <= {"full disk", "read-only", "other clock"}
    assert set(report["faults"]) <= set(FAULTS)

"""What a replay gives back says how it went, and becomes a table where there is a library."""

from __future__ import annotations

import importlib.util

import pytest

from balto.errors import InputError
from balto.learn.replay import replay

LIBRARIES = [name for name in ("pandas", "polars") if importlib.util.find_spec(name)]


@pytest.fixture
def result(pool):
    return replay(pool, selector="random", budget=0.2, rounds=3)


def test_it_says_in_one_line_what_was_run(result):
    assert str(result) == repr(result)
    assert str(result).startswith("random with xgb: 3 rounds, 27 measurements, Top-1 0.")


def test_without_held_out_programs_there_is_no_accuracy_to_tell(pool):
    result = replay(pool, selector="random", budget=0.2, rounds=2, test_share=0.0)
    assert str(result) == "random with xgb: 2 rounds, 36 measurements"


def test_without_a_library_for_tables_it_says_what_to_install(result, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="needs pandas or polars: pip install pandas"):
        result.to_frame()


@pytest.mark.skipif(not LIBRARIES, reason="neither pandas nor polars is installed")
def test_a_frame_has_a_row_a_round(result):
    frame = result.to_frame()
    assert list(frame["round"]) == [1, 2, 3]
    assert list(frame["measurements"]) == [r.measurements for r in result.rounds]
    assert list(frame["top1"]) == [r.accuracy.top1 for r in result.rounds]

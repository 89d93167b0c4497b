"""Columns of outcomes are a list of outcomes that takes less room."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes

seconds = st.floats(0, 1e6) | st.just(float("nan"))
outcomes = st.none() | st.builds(
    Outcome,
    status=st.sampled_from(Status),
    latency_s=seconds,
    latency_median_s=seconds,
    build_s=seconds,
    measure_s=seconds,
    repeats=st.integers(0, 99),
    spread=seconds,
    message=st.sampled_from(["", "", "it was killed by SIGSEGV", "no memory"]),
)
lists = st.lists(outcomes, max_size=12)


def items(columns: Outcomes) -> str:
    """As text: NaN is not equal to itself."""
    return repr([columns[i] for i in range(len(columns))])


@given(lists)
def test_what_goes_in_comes_out(listed):
    columns = Outcomes.of(listed)
    assert len(columns) == len(listed)
    assert items(columns) == repr(listed)


@given(lists)
def test_columns_say_what_the_list_says(listed):
    columns = Outcomes.of(listed)
    assert columns.measured.tolist() == [o is not None for o in listed]
    assert columns.ok.tolist() == [o is not None and o.ok for o in listed]
    np.testing.assert_allclose(columns.seconds, [o.seconds if o else 0.0 for o in listed])
    assert columns.counts() == Counter(o.status.value for o in listed if o)
    expected = [o.latency_s if o else np.nan for o in listed]
    np.testing.assert_array_equal(columns.latency_s, expected)


@given(lists, st.data())
def test_take_and_concatenate_are_those_of_lists(listed, data):
    columns = Outcomes.of(listed)
    places = st.integers(0, max(0, len(listed) - 1))
    chosen = data.draw(st.lists(places, max_size=8 if listed else 0))  # some of them twice
    assert items(columns.take(np.array(chosen, np.int64))) == repr([listed[i] for i in chosen])
    cut = data.draw(st.integers(0, len(listed)))
    parts = [Outcomes.of(listed[:cut]), Outcomes(), Outcomes.of(listed[cut:])]
    assert items(Outcomes.concatenate(parts)) == repr(listed)
    assert len(Outcomes.concatenate([])) == 0


@given(lists.filter(bool), outcomes, st.data())
def test_setting_one_changes_that_one(listed, new, data):
    columns = Outcomes.of(listed)
    place = data.draw(st.integers(0, len(listed) - 1))
    columns[place] = new
    assert items(columns) == repr([*listed[:place], new, *listed[place + 1 :]])
    again = Outcomes(len(listed))
    for i in range(len(listed)):
        again[i] = columns[i]
    assert items(again) == items(columns)


def test_a_program_that_was_not_measured_costs_nothing_and_has_no_latency():
    columns = Outcomes.of([Outcome(Status.OK, 1e-3, 1e-3, 0.1, 0.2)])
    columns[0] = None
    assert columns.seconds.tolist() == [0.0]
    assert np.isnan(columns.latency_s).all()
    assert not columns.counts()


def test_it_says_how_many_it_holds():
    assert repr(Outcomes.of([None, Outcome(Status.CRASH)])) == "Outcomes(2 programs, 1 measured)"

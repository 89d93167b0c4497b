"""Flat features are a list of arrays, and a table of feature sets is each of its sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.data import features as features_module
from balto.data import mapped
from balto.data.features import STORE, Features, FeatureSet, FeatureTable
from balto.errors import InputError

stores = st.lists(st.integers(1, 5), min_size=1, max_size=8)


def ragged(counts, width=STORE.width):
    rows = np.arange(sum(counts) * width, dtype=np.float32).reshape(-1, width)
    return np.split(rows, np.cumsum(counts)[:-1])


def listed(features):
    return [features[i].tolist() for i in range(len(features))]


@given(stores)
def test_features_hold_what_went_in(counts):
    programs = ragged(counts)
    features = Features.from_programs(programs)
    assert features.counts.tolist() == counts
    assert features.width == STORE.width
    for i, rows in enumerate(programs):
        np.testing.assert_array_equal(features[i], rows)


@given(stores, st.data())
def test_take_slice_and_concatenate_are_list_indexing(counts, data):
    programs = ragged(counts)
    features = Features.from_programs(programs)
    chosen = data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=10))
    taken = features.take(np.array(chosen, dtype=np.int64))
    assert listed(taken) == [programs[i].tolist() for i in chosen]
    with pytest.MonkeyPatch.context() as patch:  # as if they were many
        patch.setattr(mapped, "MAPPED", -1)
        patch.setattr(features_module, "_BLOCK", 3)
        many = features.take(np.array(chosen, dtype=np.int64))
    assert listed(many) == listed(taken)
    assert not len(many.rows) or isinstance(many.rows, np.memmap)
    cut = data.draw(st.integers(0, len(counts)))
    parts = [features.slice(0, cut), features.slice(cut, len(counts))]
    joined = Features.concatenate(parts)
    np.testing.assert_array_equal(joined.rows, features.rows)
    np.testing.assert_array_equal(joined.offsets, features.offsets)


@pytest.mark.parametrize(
    ("shape", "width"),
    [((2, 163), 164), ((2, 164), 5), ((164,), 164), ((0,), 164), ((2, 1, 164), 164), ((), 164)],
)
def test_an_array_of_another_shape_is_refused_with_its_place(shape, width):
    programs = [np.zeros((1, width)), np.zeros(shape)]
    with pytest.raises(InputError, match=rf"of shape rows x {width}, program 1 has"):
        Features.from_programs(programs, width)


def test_no_program_at_all_is_fine():
    assert len(Features.from_programs([])) == 0
    assert Features.from_programs([], 7).width == 7


def table_of(counts):
    ones = np.arange(3 * len(counts)).reshape(-1, 1, 3)
    sets = {
        "store": Features.from_programs(ragged(counts)),
        "three": Features.from_programs(ones, 3),
    }
    return FeatureTable(sets)


@given(stores, st.data())
def test_a_table_does_to_each_set_what_the_set_does(counts, data):
    table = table_of(counts)
    assert len(table) == len(counts)
    assert table.names == ("store", "three")
    chosen = np.array(data.draw(st.lists(st.integers(0, len(counts) - 1), max_size=5)), np.int64)
    start = data.draw(st.integers(0, len(counts)))
    stop = data.draw(st.integers(start, len(counts)))
    both = FeatureTable.concatenate([table, table])
    for name in table.names:
        one = table[name]
        assert listed(table.take(chosen)[name]) == listed(one.take(chosen))
        assert listed(table.slice(start, stop)[name]) == listed(one.slice(start, stop))
        assert listed(both[name]) == listed(one) * 2


def test_a_slice_copies_no_row():
    table = table_of([2, 1, 3])
    assert np.shares_memory(table.slice(1, 3)["store"].rows, table["store"].rows)


def test_a_set_is_selected_by_name():
    table = table_of([2, 1])
    assert table.select(["three"]).names == ("three",)
    assert "store" in table
    assert "other" not in table
    for ask in (lambda: table["other"], lambda: table.select(["store", "other"])):
        with pytest.raises(InputError, match=r"expected the feature set 'other', .* store, three"):
            ask()


def test_sets_of_different_programs_make_no_table():
    sets = {"store": Features.from_programs(ragged([1, 1])), "three": Features.from_programs([], 3)}
    with pytest.raises(InputError, match="all of the same programs, got store: 2, three: 0"):
        FeatureTable(sets)
    with pytest.raises(InputError, match=r"at least one feature set, .* got none"):
        FeatureTable({})


def test_a_feature_set_is_what_pools_and_models_compare():
    assert FeatureSet("store", 1, 164) == STORE  # whoever makes it
    assert FeatureSet("store", 2, 164) != STORE
    assert FeatureSet(**STORE.to_dict()) == STORE
    assert str(STORE) == "store version 1 (164 columns)"

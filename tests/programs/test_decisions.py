"""What a trace says: the same from its JSON and from arrays of decisions, whatever it holds."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import balto
from balto.data.pool_reader import read_pool
from balto.programs.decisions import ABSENT, COLUMNS, Skeleton, extract

POOLS = Path(balto.__file__).parents[1] / "pools"


@pytest.fixture(scope="module")
def traces():
    return read_pool(POOLS / "epyc-sse").traces


def column(table, name):
    return table[:, COLUMNS.index(name)]


def trace_of(*tiles, places=()):
    """A trace that tiles a block's axes as ``SSRSRS``, and computes something at `places`."""
    axes = [f"l{k}" for k in range(len(tiles))]
    instructions = [
        ["Annotate", ["b1", '"SSRSRS"'], ["meta_schedule.tiling_structure"], []],
        ["GetLoops", ["b1"], [], axes],
    ]
    decisions = []
    pieces = [[f"{axis}_{k}" for k in range(len(t))] for axis, t in zip(axes, tiles, strict=True)]
    for axis, tile, loops in zip(axes, tiles, pieces, strict=True):
        parts = [f"v{axis}_{k}" for k in range(len(tile))]
        decisions.append([len(instructions), tile])
        instructions += [
            ["SamplePerfectTile", [axis], [len(tile), 64], parts],
            ["Split", [axis, *parts], [True, False], loops],
        ]
    spatial, reduction = [p for p in pieces if len(p) == 4], [p for p in pieces if len(p) == 2]
    levels = [(spatial, 0), (spatial, 1), (reduction, 0), (spatial, 2), (reduction, 1)]
    order = [loops[k] for group, k in [*levels, (spatial, 3)] for loops in group]
    instructions.append(["Reorder", order, [], []])
    for place in places:
        decisions.append([len(instructions), place])
        instructions.append(["SampleComputeLocation", ["b0"], [], ["l99"]])
    return json.dumps([instructions, decisions])


def test_every_level_of_tiles_is_told_from_the_inside_out():
    table = extract([trace_of([2, 4, 8, 16], [1, 1, 1, 32], [4, 2])])
    assert column(table, "level0.axis0") == 5  # the last spatial axis: 32
    assert column(table, "level0.axis1") == 4
    assert column(table, "level1.axis0") == 1  # the inner part of the reduction
    assert column(table, "inner1.spatial") == 4 + 5
    assert column(table, "inner1.reduction") == 1
    assert column(table, "spatial.all") == 10 + 5
    assert column(table, "reduction.number") == 1
    assert column(table, "level6.axis0") == ABSENT  # SSRSRS has six levels


def test_a_place_says_what_is_computed_again_and_how_much_at_once():
    table = extract([trace_of([2, 4, 8, 16], [4, 2], places=[0]), trace_of([16], places=[-1])])
    assert column(table, "place0.loop").tolist() == [0, -1]
    assert column(table, "place0.outside").tolist() == [1, 0]
    assert column(table, "place0.inside")[0] == 10 + 3 - 1


def test_arrays_of_decisions_give_what_the_traces_give(traces):
    """A search makes its candidates as arrays, for one skeleton at a time."""
    some = [json.loads(trace) for trace in traces[:60]]
    prefixes = [json.dumps(i[: [e[0] for e in i].index("EnterPostproc")]) for i, _ in some]
    mine = [k for k, prefix in enumerate(prefixes) if prefix == prefixes[0]]
    skeleton = Skeleton(some[0][0])
    chosen = [dict(some[k][1]) for k in mine]
    arrays = [np.array([d[place] for d in chosen]) for place in skeleton.sampling]
    assert len(mine) > 1
    np.testing.assert_array_equal(skeleton.rows(arrays), extract([traces[k] for k in mine]))


def test_a_row_depends_on_its_own_trace_alone(traces):
    together = extract(traces[::97])
    assert np.isfinite(together).all()
    assert together.shape == (len(traces[::97]), len(COLUMNS))
    alone = [extract([trace])[0] for trace in traces[::97]]
    np.testing.assert_array_equal(together, alone)


def test_what_follows_from_the_decisions_adds_nothing(traces):
    """Postprocessors' instructions say nothing that the ones before them do not."""
    instructions, decisions = json.loads(traces[0])
    end = [entry[0] for entry in instructions].index("EnterPostproc")
    cut = json.dumps([instructions[:end], decisions])
    np.testing.assert_array_equal(extract([cut]), extract(traces[:1]))


def test_an_unknown_instruction_is_counted():
    instructions, decisions = json.loads(trace_of([2, 4, 8, 16]))
    strange = [*instructions, ["Levitate", [], [], []]]
    before, after = extract([json.dumps([i, decisions]) for i in (instructions, strange)])
    other = COLUMNS.index("count.other")
    assert after[other] == before[other] + 1
    assert (np.delete(after, other) == np.delete(before, other)).all()


def test_no_traces_and_empty_traces_have_rows_too():
    assert extract([]).shape == (0, len(COLUMNS))
    assert np.isfinite(extract(["[[], []]", "[[], []]"])).all()


def test_names_are_distinct():
    assert len(set(COLUMNS)) == len(COLUMNS)

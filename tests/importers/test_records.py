"""Ansor's logs as pools: what was measured, and the steps as `decisions`."""

from __future__ import annotations

import json
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.data.outcome import Status
from balto.data.pool_reader import read_pool
from balto.errors import InputError
from balto.importers.ansor import read_record
from balto.importers.imported import Imported, Names, SkipLine
from balto.importers.steps import StepReader
from balto.importers.tenset import import_tenset
from balto.learn.replay import replay
from balto.programs import decisions
from tests.importers.logs import CPU, GPU_STEPS, line, matmul_steps, write


def columns(steps):
    [row] = StepReader().rows([steps])
    return dict(zip(decisions.COLUMNS, row.tolist(), strict=True))


def metaschedule_matmul(m, n, k, unroll):
    """The trace of the same decisions, as MetaSchedule writes it for a CPU."""
    loops = [f"l{i}" for i in range(3)]
    parts = [[f"{c}{i}" for i in range(p)] for c, p in (("m", 4), ("n", 4), ("k", 2))]
    order = [*(parts[a][0] for a in (0, 1)), *(parts[a][1] for a in (0, 1)), "k0"]
    order += ["m2", "n2", "k1", "m3", "n3"]
    instructions = [
        ["GetSBlock", [], ["C", "main"], ["b0"]],
        ["Annotate", ["b0", '"SSRSRS"'], ["meta_schedule.tiling_structure"], []],
        ["GetLoops", ["b0"], [], loops],
    ]
    for loop, each in zip(loops, parts, strict=True):
        factors = [f"v{name}" for name in each]
        instructions.append(["SamplePerfectTile", [loop], [len(each), 64], factors])
        instructions.append(["Split", [loop, *factors], [1, 0], each])
    instructions += [
        ["Reorder", order, [], []],
        ["CacheWrite", ["b0"], [0, "global"], ["b1"]],
        ["ReverseComputeAt", ["b1", "n1"], [1, -1], []],
        ["SampleCategorical", [], [[0, 16, 64, 512], [0.25] * 4], ["v"]],
        ["Annotate", ["b0", "v"], ["meta_schedule.unroll_explicit"], []],
    ]
    decided = [[3, m], [5, n], [7, k], [12, [0, 16, 64, 512].index(unroll)]]
    return json.dumps([instructions, decided])


def test_the_same_decisions_give_the_same_columns_as_metaschedules_trace():
    ansor = columns(matmul_steps((8, 8, 1), (8, 1, 2), (1,), unroll=64))
    trace = metaschedule_matmul([1, 8, 8, 1], [4, 8, 1, 2], [64, 1], 64)
    [row] = decisions.extract([trace])
    ours = dict(zip(decisions.COLUMNS, row.tolist(), strict=True))
    differ = {name for name in ours if ours[name] != pytest.approx(ansor[name])}
    assert differ <= {f"count.{n}" for n in ("Annotate", "Fuse", "GetSBlock", "other")}


def test_a_line_that_tvm_measured():
    record = read_record(CPU.encode())
    row = columns(record.steps)
    assert (record.outcome.latency_s, record.outcome.repeats) == (0.0331129, 1)
    extents = {"axis0": 7, "axis1": 7, "axis2": 512, "axes": 1}
    assert all(row[f"spatial.{a}"] == pytest.approx(np.log2(n)) for a, n in extents.items())
    assert row["level0.axis2"] == 4  # 16 output channels innermost
    assert row["unroll0"] == pytest.approx(np.log2(513))
    assert row["place0.loop"] == 5  # the padding, under six of the output's loops
    assert row["written.loop"] == 8


def test_a_gpus_sketch():
    row = columns(GPU_STEPS)
    assert (row["level0.axis0"], row["level2.axis1"], row["level5.axis0"]) == (2, 1, 3)
    assert row["fetch0"] == pytest.approx(np.log2(3))
    assert row["fetch1"] == pytest.approx(np.log2(5))
    assert (row["written.loop"], row["fetched.loop"]) == (6, 7)
    assert row["count.CacheRead"] == 2


def test_a_factored_reduction_and_a_split_from_the_outside():
    row = columns([["SP", 1, 1, 1024, [32], 1], ["RF", 1, 2, 2], ["AN", 1, 0, 3]])
    assert (row["tile0.inner"], row["tile0.outer"]) == (5, 5)
    assert row["count.RFactor"] == 1
    outwards = columns([["SP", 1, 1, 1024, [4], 0]])
    assert (outwards["tile0.inner"], outwards["tile0.outer"]) == (8, 2)


def test_where_a_producer_is_computed():
    steps, places = matmul_steps(), {}
    for name, more in {"inlined": ["CI", 0], "root": ["CR", 0], "at": ["CA", 0, 2, 4]}.items():
        places[name] = columns([*steps, more])["place0.loop"]
    assert places == {"inlined": -2, "root": -1, "at": 4}
    assert columns([["CI", 1], *steps])["place0.loop"] == decisions.ABSENT  # not drawn: always so


powers = st.integers(0, 3).map(lambda n: 2**n)


@given(st.lists(st.tuples(powers, powers, powers), min_size=2, max_size=2), powers)
def test_tile_sizes_are_the_levels_and_multiply_to_the_extents(tiles, inner):
    m, n = tiles
    row = columns(matmul_steps(m, n, (inner,), sizes=(512, 512, 8)))
    for axis, lengths in (("axis1", m), ("axis0", n)):
        assert [row[f"level{v}.{axis}"] for v in (4, 2, 0)] == pytest.approx(np.log2(lengths))
        assert row[f"spatial.{axis}"] == pytest.approx(9)
    assert row["reduction.all"] == pytest.approx(3)


@given(st.lists(st.sampled_from(["m", "n", "unroll"]), min_size=1, max_size=6))
def test_programs_read_together_are_those_read_alone(kinds):
    change = {"m": {"m": (2, 2, 2)}, "n": {"n": (4, 4, 4)}, "unroll": {"unroll": 512}}
    programs = [matmul_steps(**change[kind]) for kind in kinds]
    together = StepReader().rows(programs)
    alone = np.concatenate([StepReader().rows([each]) for each in programs])
    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (1, Status.BUILD_ERROR), (2, Status.BUILD_ERROR), (3, Status.BUILD_ERROR),
        (4, Status.RUN_ERROR), (5, Status.RUN_ERROR), (6, Status.BUILD_TIMEOUT),
        (7, Status.RUN_TIMEOUT), (8, Status.RUN_ERROR),
    ],
)  # fmt: skip
def test_every_error_of_ansors_stays_a_failure(error, status):
    outcome = read_record(line(costs=[1e10], error=error).encode()).outcome
    assert outcome.status is status
    assert np.isnan(outcome.latency_s)
    assert f"error {error}" in outcome.message


@pytest.mark.parametrize("cost", [5e-324, 1e-12, 1e7, 1e13, 1e300, 10**310, -1e-3, float("nan")])
def test_a_cost_that_no_program_has_is_skipped(cost):
    for costs in ([cost], [1e-3, cost]):
        with pytest.raises(SkipLine, match="costs that cannot be"):
            read_record(line(costs=costs).encode())


def test_tasks_of_long_names_have_names_of_their_own():
    names = Names()
    assert len({names.unique("a" * 200) for _ in range(500)}) == 500
    made = [names.unique(name) for name in ("b", "b_2", "b", "b")]
    assert made == ["b", "b_2", "b_3", "b_4"]


def test_a_cost_of_1e10_is_a_failure_whatever_the_error_says():
    assert read_record(line(costs=[1e10]).encode()).outcome.status is Status.RUN_ERROR


def test_repeats_become_the_smallest_the_median_and_the_spread():
    costs = [4e-3, 1e-3, 2e-3, 3e-3]
    outcome = read_record(line(costs=costs).encode()).outcome
    low, middle, high = np.quantile(costs, [0.25, 0.5, 0.75])
    assert outcome.latency_s == 1e-3
    assert outcome.latency_median_s == pytest.approx(middle)
    assert outcome.spread == pytest.approx((high - low) / middle)
    assert (outcome.repeats, outcome.seconds) == (4, 1.5)


BAD_STEPS = [
    ([["SP", 0, 0, 8, [0], 1]], "make no sense"),
    ([["SP", 0, 10**9, 8, [2], 1]], "make no sense"),
    ([["SP", -1, 0, 8, [2], 1]], "make no sense"),
    ([["XX", 0]], "not known here"),
    ([["AN", 0]], "make no sense"),
    ([["FSP", 0, 0, 0, 10**9]], "make no sense"),
    ([[]], "make no sense"),
    ("SP", "make no sense"),
    ([["CI", 0]] * 2000, "make no sense"),
]


@pytest.mark.parametrize(("steps", "says"), BAD_STEPS)
def test_steps_that_make_no_sense_are_skipped(steps, says):
    with pytest.raises(SkipLine, match=says):
        StepReader().form(read_record(line(steps=steps).encode()).steps)


def test_comments_half_lines_and_unknown_versions_are_skipped_with_a_count(tmp_path):
    lines = [
        "# a comment", line(), " another comment", line()[:200], line(version="v9"), "",
        line(costs=[0.0]), line(costs=[-1.0]), line(error=77), line(seconds="x"), "{}", "null",
        line(workload={"a": 1}), line(target=" "), "[" * 50_000, "x" * (1 << 20) + "yz", CPU,
    ]  # fmt: skip
    result = import_tenset(write(tmp_path / "log.json", lines), tmp_path / "pool")
    assert (result.programs, result.tasks) == (2, 2)
    assert result.skipped["comment"] == 2
    assert result.skipped["version 'v9'"] == 1
    assert result.skipped["not measured"] == 1
    assert result.skipped["too long"] == 1
    assert sum(result.skipped.values()) == len(lines) - 3  # two records, and an empty line


def test_the_reasons_that_are_told_add_up():
    result = Imported(skipped=Counter({f"reason {k}": k for k in range(1, 12)}))
    words = result.skipped_words()
    assert words.startswith("66 lines skipped: 11 reason 11, 10 reason 10, ")
    assert words.endswith(", 4 reason 4, and 6 more for other reasons")
    assert sum(int(n) for n in re.findall(r"(\d+) (?:reason|more)", words)) == 66
    assert "more" not in Imported(skipped=Counter("aab")).skipped_words()


def test_a_log_without_a_record_is_refused_in_one_line(tmp_path):
    path = write(tmp_path / "log.json", ["# nothing", line(version="v0.1")])
    with pytest.raises(InputError, match=r"2 lines skipped: 1 comment, 1 version 'v0\.1'") as error:
        import_tenset(path, tmp_path / "pool")
    assert "\n" not in str(error.value)


def test_records_of_many_tasks_in_any_order_are_sorted_by_task(tmp_path):
    lines = [line(workload=["op", k % 3], costs=[1e-3 * (k + 1)]) for k in range(12)]
    write(tmp_path / "logs" / "a.json", lines[:7])
    write(tmp_path / "logs" / "deep" / "b.json", lines[7:])
    result = import_tenset(tmp_path / "logs", tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    assert result.tasks == 3
    for k, task in enumerate(pool.tasks):
        assert json.loads(task.args) == [k]
        expected = [1e-3 * (n + 1) for n in range(12) if n % 3 == k]
        assert pool.latency_s[list(pool.programs(k))] == pytest.approx(expected)


def test_tensets_folders_keep_devices_apart(tmp_path):
    for device in ("t4", "k80"):
        write(tmp_path / "dataset" / "measure_records" / device / "a.json", [line()])
    write(tmp_path / "dataset" / "to_measure_programs" / "a.json", [line(costs=[0.0])])
    import_tenset(tmp_path / "dataset", tmp_path / "pool")
    tasks = read_pool(tmp_path / "pool").tasks
    assert [task.device for task in tasks] == ["k80, 4 cores", "t4, 4 cores"]
    assert len({task.name for task in tasks}) == 2


def test_the_device_is_known_from_inside_its_folder_and_through_a_link(tmp_path, monkeypatch):
    log = write(tmp_path / "data" / "measure_records" / "platinum-8272" / "a.json", [line()])
    (tmp_path / "link").symlink_to(log.parent)
    (tmp_path / "measure_records").mkdir()
    (tmp_path / "measure_records" / "e5").symlink_to(log.parent)
    monkeypatch.chdir(log.parent)
    expected = {
        ".": "platinum-8272",
        "a.json": "platinum-8272",
        "../platinum-8272": "platinum-8272",
    }
    expected |= {str(tmp_path / "link"): "platinum-8272"}
    expected |= {str(tmp_path / "measure_records" / "e5" / "a.json"): "e5"}
    for number, (source, device) in enumerate(expected.items()):
        import_tenset(source, tmp_path / f"pool{number}")
        [task] = read_pool(tmp_path / f"pool{number}").tasks
        assert task.device == f"{device}, 4 cores"


def test_a_task_of_more_programs_than_a_batch_is_one_task(tmp_path, monkeypatch):
    monkeypatch.setattr("balto.importers.records.BATCH", 4)
    lines = [line(costs=[1e-3 * (k + 1)]) for k in range(10)]
    result = import_tenset(write(tmp_path / "log.json", lines), tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    assert (result.tasks, len(pool)) == (1, 10)
    assert pool.latency_s == pytest.approx([1e-3 * (k + 1) for k in range(10)])


def test_such_a_pool_is_used_without_tvm(tmp_path):
    rng = np.random.default_rng(0)
    lines = []
    for _ in range(60):
        m, n = (tuple(2 ** rng.integers(0, 3, 3)) for _ in range(2))
        steps = matmul_steps([int(v) for v in m], [int(v) for v in n])
        lines.append(line(steps=steps, costs=[1e-3 / int(n[2]) + 1e-4 * int(m[0])]))
    import_tenset(write(tmp_path / "log.json", lines), tmp_path / "pool")
    result = replay(read_pool(tmp_path / "pool"), budget=0.5, rounds=3)
    assert result.accuracy.top1 > 0.5

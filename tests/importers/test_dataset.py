"""TenSet's data sets and feature caches say the same as a pool as they did as pickles."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

from balto.data.pool_reader import read_pool
from balto.errors import InputError, StorageError
from balto.importers.tenset import import_tenset
from tests.importers.logs import line, write
from tests.importers.tenset_own import make

OWN = Path(make.__file__).parent
FILES = [
    *(f"cache{p}.feature_cache" for p in (3, 4, 5)),
    *(f"dataset{p}.pkl" for p in (3, 4, 5)),
    "dataset_of_numpy_1.pkl",
]


@pytest.mark.parametrize("name", FILES)
def test_every_layout_and_protocol_gives_the_numbers_that_were_pickled(tenset, tmp_path, name):
    result = import_tenset(tenset / name, tmp_path / "pool")
    says = json.loads((tenset / "says.json").read_text())
    pool = read_pool(tmp_path / "pool")
    assert (result.tasks, result.programs) == (len(says), len(pool)) == (4, 21)
    for k, (workload, expected) in enumerate(says.items()):
        assert json.loads(pool.tasks[k].args) == json.loads(workload)[1:]
        for i, program in enumerate(pool.programs(k)):
            rows = np.array(expected["rows"][i], np.float32)
            np.testing.assert_array_equal(pool.features["store"][program], rows)
            outcome, throughput = pool.outcomes[program], expected["throughputs"][i]
            if outcome.ok:
                assert outcome.latency_s == pytest.approx(expected["latency"] / throughput)
            else:
                assert not rows.any() or throughput < 1e-10


def with_too_large_a_number(tenset, task, form):
    """The bytes of a cache in which a program of a task has a feature of 1e300."""
    says = list(json.loads((tenset / "says.json").read_text()).values())[task]
    number, large = (struct.pack(form, n) for n in (says["rows"][2][0][5], 1e300))
    whole = (tenset / "cache4.feature_cache").read_bytes()
    assert number in whole
    return whole.replace(number, large)


@pytest.mark.parametrize("odd", [-0.5, float("nan"), 1e300, float("-inf"), 1e-10])
def test_programs_whose_throughput_cannot_be_are_skipped_and_counted(tenset, tmp_path, odd):
    says = list(json.loads((tenset / "says.json").read_text()).values())[1]
    whole = (tenset / "cache4.feature_cache").read_bytes()
    wrong = whole.replace(struct.pack("<d", says["throughputs"][4]), struct.pack("<d", odd))
    assert wrong != whole
    (tmp_path / "a.feature_cache").write_bytes(wrong)
    result = import_tenset(tmp_path / "a.feature_cache", tmp_path / "pool")
    import_tenset(tenset / "cache4.feature_cache", tmp_path / "whole")
    pool, expected = read_pool(tmp_path / "pool"), read_pool(tmp_path / "whole")
    others = np.delete(np.arange(len(expected)), expected.programs(1)[4])
    assert result.skipped == {"a throughput that cannot be": 1}
    np.testing.assert_array_equal(pool.latency_s, expected.latency_s[others])
    np.testing.assert_array_equal(
        pool.features["store"].rows, expected.features["store"].take(others).rows
    )


@pytest.mark.parametrize("odd", [5e-324, -1.0, 0.0, 1e300, float("inf"), float("nan")])
def test_a_smallest_latency_that_cannot_be_is_one_line(tenset, tmp_path, odd):
    whole = (tenset / "cache4.feature_cache").read_bytes()
    wrong = whole.replace(struct.pack("<d", 2e-3), struct.pack("<d", odd))
    assert wrong != whole
    (tmp_path / "a.feature_cache").write_bytes(wrong)
    with pytest.raises(InputError, match="has no smallest latency of a task"):
        import_tenset(tmp_path / "a.feature_cache", tmp_path / "pool")


@pytest.mark.parametrize(("task", "form"), [(0, "<d"), (1, ">d")])  # in bytes, and one by one
def test_a_number_too_large_for_a_feature_is_one_line(tenset, tmp_path, task, form):
    data = with_too_large_a_number(tenset, task, form)
    (tmp_path / "a.feature_cache").write_bytes(data)
    with pytest.raises(InputError, match="missing or not finite"):  # and no warning
        import_tenset(tmp_path / "a.feature_cache", tmp_path / "pool")


def test_failures_stay_failures(tenset, tmp_path):
    import_tenset(tenset / "dataset4.pkl", tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    statuses = [pool.outcomes[i].status.value for i in pool.programs(2)]
    assert statuses == ["ok", "build_error", "run_error", "run_error"]
    assert "zeros" in pool.outcomes[pool.programs(2)[1]].message


def test_weights_are_summed_over_networks_and_found_beside_the_source(tenset, tmp_path):
    result = import_tenset(tenset / "dataset3.pkl", tmp_path / "pool")
    assert [task.weight for task in read_pool(tmp_path / "pool").tasks] == [5, 1, 1, 1]
    assert not result.notes


def test_the_pool_says_which_tasks_each_network_has(tenset, tmp_path):
    import_tenset(tenset / "dataset3.pkl", tmp_path / "pool")
    first, second = (task.name for task in read_pool(tmp_path / "pool").tasks[:2])
    assert json.loads((tmp_path / "pool" / "networks.json").read_text()) == {
        "((resnet_50,[(1,3,220,224)]),llvm)": {first: 3, second: 1},
        "((resnet_50,[(1,3,221,224)]),llvm)": {first: 2},
    }


def test_without_a_task_of_the_networks_it_says_so(tenset, tmp_path):
    log = write(tmp_path / "log.json", [line()])
    result = import_tenset(log, tmp_path / "pool", tenset / "network_info")
    assert result.notes == ["no network has a task of the pool: every task has weight 1"]
    assert not (tmp_path / "pool" / "networks.json").exists()


def test_a_folder_of_feature_caches_is_one_pool(tenset, tmp_path):
    caches = tmp_path / "caches"
    caches.mkdir()
    (caches / "a.feature_cache").write_bytes((tenset / "cache4.feature_cache").read_bytes())
    result = import_tenset(caches, tmp_path / "pool", tenset / "network_info", device="mine")
    assert result.tasks == 4
    assert {task.device for task in read_pool(tmp_path / "pool").tasks} == {"mine"}


def test_a_task_of_several_caches_has_the_programs_of_all_as_tensets_own_join_has(tmp_path):
    result = import_tenset(OWN, tmp_path / "pool")
    import_tenset(OWN / "dataset.pkl", tmp_path / "joined")
    pool, joined = read_pool(tmp_path / "pool"), read_pool(tmp_path / "joined")
    assert (result.tasks, result.programs) == (3, len(joined))
    assert "1 of 3 tasks are in several files: their programs were joined" in result.notes
    assert [task.name for task in pool.tasks] == [task.name for task in joined.tasks]
    np.testing.assert_array_equal(pool.offsets, joined.offsets)
    np.testing.assert_array_equal(pool.features["store"].rows, joined.features["store"].rows)
    np.testing.assert_array_equal(pool.outcomes.status, joined.outcomes.status)
    np.testing.assert_allclose(pool.latency_s, joined.latency_s, rtol=1e-6)


def test_all_tasks_of_three_caches_are_joined(tenset, tmp_path):
    for number, name in enumerate(("cache5", "cache3", "cache4")):
        whole = (tenset / f"{name}.feature_cache").read_bytes()
        (tmp_path / f"{number}.feature_cache").write_bytes(whole)
    import_tenset(tmp_path, tmp_path / "pool")
    import_tenset(tenset / "cache4.feature_cache", tmp_path / "alone")
    pool, alone = read_pool(tmp_path / "pool"), read_pool(tmp_path / "alone")
    assert len(pool) == 3 * len(alone)
    for k in range(4):
        programs, of_one = pool.programs(k), alone.programs(k)
        for i, program in enumerate(programs):
            expected = alone.features["store"][of_one[i % len(of_one)]]
            np.testing.assert_array_equal(pool.features["store"][program], expected)


def test_an_import_that_fails_half_way_leaves_nothing_behind(tenset, tmp_path):
    bad = with_too_large_a_number(tenset, 1, ">d")
    (tmp_path / "caches").mkdir()
    (tmp_path / "caches" / "a.feature_cache").write_bytes(bad)
    for pool in ("new", "deep/er", "there"):
        (tmp_path / "there").mkdir(exist_ok=True)
        with pytest.raises(InputError, match="missing or not finite"):
            import_tenset(tmp_path / "caches", tmp_path / pool)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["caches", "there"]
    assert not list((tmp_path / "there").iterdir())


def test_a_temporary_file_that_cannot_be_written_is_one_line(tenset, tmp_path, monkeypatch):
    full = Path("/dev/full").open("r+b", buffering=0)  # noqa: SIM115
    monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: full)
    for name in "ab":
        whole = (tenset / "cache4.feature_cache").read_bytes()
        (tmp_path / f"{name}.feature_cache").write_bytes(whole)
    with pytest.raises(StorageError, match="No space left on device; TMPDIR names another folder"):
        import_tenset(tmp_path, tmp_path / "pool")


@pytest.mark.parametrize("source", ["dataset.pkl", "first.json.feature_cache"])
def test_what_tensets_own_code_wrote_has_the_programs_of_its_logs(tmp_path, source):
    """`make.py` says how these files were made."""
    import_tenset(OWN / source, tmp_path / "pool")
    pool = read_pool(tmp_path / "pool")
    logs = list(make.LOGS.values())[: 2 if source == "dataset.pkl" else 1]
    for number in range(len(pool.tasks)):
        parts = [[each for each in log if each[0] == number] for log in logs]
        rows = [row for part in parts for row in make.made_up([stores for _, stores, _ in part])]
        says = [each for part in parts for each in part]
        for program, row, (_, stores, costs) in zip(pool.programs(number), rows, says, strict=True):
            expected_rows = row if stores else np.zeros((1, 164))
            np.testing.assert_array_equal(pool.features["store"][program], expected_rows)
            outcome = pool.outcomes[program]
            expected = "build_error" if not stores else "ok" if costs else "run_error"
            assert outcome.status.value == expected
            if outcome.ok:
                assert outcome.latency_s == pytest.approx(np.mean(costs), rel=1e-6)
    assert len(pool) == sum(map(len, logs))

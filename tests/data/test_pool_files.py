"""The exchange format: what is written comes back, and what is wrong is named in one line."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from balto.data import mapped, pool_reader, pool_writer
from balto.data.features import STORE, Features, FeatureTable
from balto.data.outcome import Outcome, Status
from balto.data.outcomes import Outcomes
from balto.data.pool import Pool
from balto.data.pool_reader import read_pool
from balto.data.pool_schema import KEY, programs_schema_1
from balto.data.pool_writer import copy_networks, write_parts, write_pool
from balto.data.target import Target
from balto.data.task import Task
from balto.errors import PoolError, StorageError


def edit(path, change, file="programs.parquet"):
    """Change a pool's programs.parquet, or another file of it, as a list of rows."""
    table = pq.read_table(path / file)
    rows = table.to_pylist()
    schema = change(rows, table.schema) or table.schema
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path / file)


def say(path, **changes):
    """Change what programs.parquet says about itself."""
    table = pq.read_table(path / "programs.parquet")
    said = {**json.loads(table.schema.metadata[KEY]), **changes}
    table = table.replace_schema_metadata({KEY: json.dumps(said)})
    pq.write_table(table, path / "programs.parquet")


def as_version_1(path):
    """Make the pool what version 1 wrote."""
    tasks = pq.read_table(path / "tasks.parquet")
    tasks = tasks.drop_columns(["flop", "module"]).replace_schema_metadata()
    pq.write_table(tasks, path / "tasks.parquet")
    rows = pq.read_table(path / "programs.parquet").to_pylist()
    for row in rows:
        row["features"] = row.pop("features_store")
    table = pa.Table.from_pylist(rows, schema=programs_schema_1())
    pq.write_table(table, path / "programs.parquet")


def same(pool: Pool, other: Pool) -> None:
    """Both hold the same, to the last bit."""
    mine, others = ([task.to_dict() for task in each.tasks] for each in (pool, other))
    assert repr(mine) == repr(others)  # a FLOP that is none equals nothing
    np.testing.assert_array_equal(pool.offsets, other.offsets)
    assert pool.features.names == other.features.names
    for name in pool.features.names:
        np.testing.assert_array_equal(pool.features[name].rows, other.features[name].rows)
        np.testing.assert_array_equal(pool.features[name].offsets, other.features[name].offsets)
    assert list(pool.traces) == list(other.traces)
    assert repr([*map(pool.outcomes.__getitem__, range(len(pool)))]) == repr(
        [*map(other.outcomes.__getitem__, range(len(other)))]
    )


def test_a_pool_comes_back_as_it_was(pool, pool_path):
    same(read_pool(pool_path), pool)


positive, some = st.floats(1e-9, 1e3), st.floats(0, 1e3) | st.just(math.nan)
succeeded = st.builds(
    lambda latency_s, more, **rest: Outcome(
        latency_s=latency_s, latency_median_s=latency_s * more, **rest
    ),
    status=st.just(Status.OK),
    latency_s=positive,
    more=st.floats(1, 2),
    build_s=some,
    measure_s=some,
    repeats=st.integers(0, 99),
    spread=some,
)
failed = st.builds(
    Outcome,
    status=st.sampled_from([s for s in Status if s is not Status.OK]),
    build_s=some,
    measure_s=some,
    message=st.text(max_size=9),
)
texts = st.text(max_size=9)
given_or_not = st.none() | st.text(min_size=1, max_size=9)
programs = st.tuples(st.none() | succeeded | failed, st.integers(1, 3), given_or_not)
targets = st.builds(
    Target, st.sampled_from(["llvm", "cuda"]), st.none() | st.integers(1, 8), mcpu=given_or_not
)
tasks = st.tuples(
    *(texts, texts, st.integers(1, 99), targets, texts, st.just(math.nan) | st.floats(0, 1e8)),
    *(given_or_not, st.lists(programs, min_size=1, max_size=4)),
)


def pool_of(drawn) -> Pool:
    """A pool of drawn tasks, each with its drawn programs."""
    every = [program for task in drawn for program in task[-1]]
    rows = [np.full((count, STORE.width), i, np.float32) for i, (_, count, _) in enumerate(every)]
    return Pool(
        tasks=[Task(f"task {k}", *task[:-1]) for k, task in enumerate(drawn)],
        offsets=np.cumsum([0, *(len(task[-1]) for task in drawn)]),
        features=FeatureTable({"store": Features.from_programs(rows)}),
        traces=[trace for _, _, trace in every],
        outcomes=Outcomes.of(outcome for outcome, _, _ in every),
    )


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(tasks, min_size=1, max_size=4))
def test_whatever_a_pool_holds_comes_back(tmp_path, monkeypatch, drawn):
    """Modules, FLOP, repeats, spread, messages, unmeasured programs; also in many row groups."""
    pool = pool_of(drawn)
    for size in (1, 3, 16_384):
        monkeypatch.setattr(pool_writer, "GROUP", size)
        monkeypatch.setattr(pool_reader, "BATCH", size)
        assert write_pool(pool, tmp_path / "p", unmeasured=True) == len(pool)
        same(read_pool(tmp_path / "p"), pool)


def test_a_pool_may_be_written_part_by_part(pool, tmp_path):
    parts = [(task, pool, np.array(pool.programs(k))) for k, task in enumerate(pool.tasks)]
    assert write_parts(iter(parts), tmp_path / "p") == len(pool)
    same(read_pool(tmp_path / "p"), pool)


def test_unmeasured_programs_are_left_out_and_ids_stay_dense(pool, tmp_path):
    for i in range(len(pool)):
        if i % 2 == 0 or 60 <= i < 120:
            pool.outcomes[i] = None
    assert write_pool(pool, tmp_path / "half") == 60
    back = read_pool(tmp_path / "half")
    assert back.outcomes.measured.all()
    assert [t.name for t in back.tasks] == [pool.tasks[0].name, pool.tasks[2].name]
    np.testing.assert_array_equal(back.features["store"][30], pool.features["store"][121])
    assert back.traces[30] == pool.traces[121]


def test_out_of_memory_stays_what_it_was(pool, tmp_path):
    pool.outcomes[0] = Outcome(Status.OUT_OF_MEMORY, message="9 GiB asked for")
    write_pool(pool, tmp_path / "p")
    back = read_pool(tmp_path / "p").outcomes[0]
    assert back is not None
    assert (back.status, back.message) == (Status.OUT_OF_MEMORY, "9 GiB asked for")


def test_nothing_measured_cannot_be_exported(pool, tmp_path):
    pool.outcomes = Outcomes(len(pool))
    with pytest.raises(PoolError, match="nothing to export"):
        write_pool(pool, tmp_path / "p")
    assert write_pool(pool, tmp_path / "p", unmeasured=True) == 180


def test_a_pool_is_a_folder(pool, tmp_path):
    (tmp_path / "p").write_text("precious")
    with pytest.raises(StorageError, match="expected a folder"):
        write_pool(pool, tmp_path / "p")
    assert (tmp_path / "p").read_text() == "precious"


def test_a_recorded_pool_of_version_1_is_read_still():
    """Cut from a pool that an earlier balto recorded: two tasks, twelve programs of each."""
    folder = Path(__file__).parent / "version-1"
    assert KEY not in (pq.read_schema(folder / "programs.parquet").metadata or {})
    pool = read_pool(folder)
    assert len(pool) == 24
    assert pool.outcomes.measured.all()
    assert all(task.module is None and math.isnan(task.flop) for task in pool.tasks)
    assert pool.features.names == ("store",)


def test_a_pool_of_version_1_becomes_one_of_version_2(pool, pool_path, tmp_path):
    as_version_1(pool_path)
    old = read_pool(pool_path)
    same(old, pool)
    write_pool(old, tmp_path / "new")
    said = json.loads(pq.read_schema(tmp_path / "new" / "programs.parquet").metadata[KEY])
    assert said["version"] == 2
    same(read_pool(tmp_path / "new"), old)


def test_a_pool_may_hold_more_rows_than_32_bits_count_numbers(pool_path):
    """13.09 million rows of 164 are as many numbers; `benchmarks/large_pool.py` writes more."""
    (column,) = (f for f in pq.read_schema(pool_path / "programs.parquet") if "store" in f.name)
    assert pa.types.is_large_list(column.type)


def test_features_of_a_large_pool_are_mapped_from_a_file(pool, pool_path, monkeypatch):
    values = pool.features["store"].rows.size
    monkeypatch.setattr(mapped, "MAPPED", 4 * values)
    assert not isinstance(read_pool(pool_path).features["store"].rows, np.memmap)
    monkeypatch.setattr(mapped, "MAPPED", 4 * values - 1)
    large = read_pool(pool_path)
    rows = large.features["store"].rows
    assert isinstance(rows, np.memmap)
    assert not rows.flags.writeable
    same(large, pool)


def nan_feature(rows, _):
    rows[7]["features_store"][0][3] = float("nan")


def huge_feature(rows, _):
    rows[7]["features_store"][0][3] = 1e31


def null_feature(rows, _):
    rows[7]["features_store"][0][3] = None


def null_row(rows, _):
    rows[7]["features_store"] = [None]


def null_features(rows, _):
    rows[7]["features_store"] = None


def negative_latency(rows, _):
    rows[7]["latency_s"] = -1e-3


def infinite_spread(rows, _):
    rows[7]["spread"] = math.inf


def negative_repeats(rows, _):
    rows[7]["repeats"] = -1


def missing_latency(rows, _):
    rows[7]["latency_s"] = None


def least_latency(rows, _):
    rows[7]["latency_s"] = 5e-324


def largest_latency(rows, _):
    rows[7]["latency_s"] = rows[7]["latency_median_s"] = 1e300


def median_below(rows, _):
    rows[7]["latency_median_s"] = rows[7]["latency_s"] / 2


def strange_status(rows, _):
    rows[7]["status"] = "fine"


def wrong_order(rows, _):
    rows[7], rows[8] = rows[8], rows[7]


def unknown_task(rows, _):
    rows[-1]["task_id"] = 9


def task_without_program(rows, _):
    del rows[60:120]


def missing_column(rows, schema):
    for row in rows:
        del row["build_s"]
    return schema.remove(schema.get_field_index("build_s"))


def text_for_seconds(rows, schema):
    for row in rows:
        row["build_s"] = "a while"
    i = schema.get_field_index("build_s")
    return schema.set(i, pa.field("build_s", pa.string()))


def no_store(rows, _):
    rows[7]["features_store"] = []


def nothing(rows, _):
    rows.clear()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nan_feature, "features must be finite and under 1e[+]30, row 7"),
        (huge_feature, "features must be finite and under 1e[+]30, row 7"),
        (null_feature, "features must not be null"),
        (null_row, "features must not hold null rows"),
        (null_features, "column features_store must not be null"),
        (negative_latency, "latency_s must be a positive number, row 7 has -0.001"),
        (infinite_spread, "spread must be a positive number, row 7 has inf"),
        (negative_repeats, "repeats must not be negative"),
        (missing_latency, "row 7 of programs.parquet has a latency of nan s, where from 1e-09"),
        (least_latency, "row 7 of programs.parquet has a latency of 4.94066e-324 s"),
        (largest_latency, "row 7 of programs.parquet has a latency of 1e[+]300 s.*to 100000 s"),
        (median_below, "row 7 of programs.parquet has a median .* from its smallest repeat"),
        (strange_status, "status must be one of .*, not fine"),
        (wrong_order, "must be ordered by task_id"),
        (unknown_task, r"task_id in programs.parquet must be in 0..2"),
        (task_without_program, "task op1_16 has no program"),
        (missing_column, "missing column build_s"),
        (text_for_seconds, "a column has the wrong type"),
        (no_store, "at least one feature row"),
        (nothing, "holds no program"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_a_bad_pool_is_refused_in_one_line(pool_path, change, says):
    edit(pool_path, change)
    with pytest.raises(PoolError, match=says) as error:
        read_pool(pool_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("flop", "says"),
    [
        (-5.0, "pool: expected FLOP from 0 to 1e[+]22, got -5 for the task op0"),
        (math.inf, "pool: expected FLOP from 0 to 1e[+]22, got inf for the task op0"),
        (1e16, "row 0 of programs.parquet .* where from 0.1 to 100000 s can be"),
    ],
)
def test_operations_that_no_device_can_do_are_refused_in_one_line(pool_path, flop, says):
    edit(pool_path, lambda rows, _: rows[0].update(flop=flop), "tasks.parquet")
    with pytest.raises(PoolError, match=says) as error:
        read_pool(pool_path)
    assert "\n" not in str(error.value)


def narrow_feature(rows, _):
    rows[7]["features"][0] = rows[7]["features"][0][:-1]


def no_status(rows, _):
    rows[7]["status"] = None


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (narrow_feature, "every feature row must have 164 columns"),
        (no_status, "column status must not be null"),  # version 1 knew only measured programs
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_a_bad_pool_of_version_1_is_refused_in_one_line(pool_path, change, says):
    as_version_1(pool_path)
    edit(pool_path, change)
    with pytest.raises(PoolError, match=says):
        read_pool(pool_path)


OF_ANOTHER = {"name": "store", "version": 9, "width": 164}


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"version": 3}, "has pool format 3, this balto reads 1 and 2: use a newer balto"),
        ({"format": "thesis"}, "is no file of a recorded pool"),
        ({"features": []}, "is no file of a recorded pool"),
        ({"features": [{"name": "store"}]}, "its metadata is damaged"),
        ({"features": None}, "its metadata is damaged"),
        ({"features": [{**OF_ANOTHER, "width": 0}]}, "is no file of a recorded pool"),
        ({"features": [OF_ANOTHER]}, r"has the features store version 9 .*, this balto reads"),
    ],
    ids=lambda v: json.dumps(v) if isinstance(v, dict) else "",
)
def test_what_a_pool_says_about_itself_is_checked(pool_path, said, says):
    say(pool_path, **said)
    with pytest.raises(PoolError, match=says) as error:
        read_pool(pool_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("metadata", [b"{", b"[1]", b"\xff", b"[" * 100_000])
def test_metadata_that_is_no_json_object_is_refused(pool_path, metadata):
    table = pq.read_table(pool_path / "tasks.parquet").replace_schema_metadata({KEY: metadata})
    pq.write_table(table, pool_path / "tasks.parquet")
    with pytest.raises(PoolError, match=r"tasks\.parquet: its metadata is damaged"):
        read_pool(pool_path)


def test_a_feature_set_of_another_version_is_left_aside_where_there_is_one_to_read(pool, pool_path):
    say(pool_path, features=[STORE.to_dict(), {"name": "later", "version": 1, "width": 3}])
    same(read_pool(pool_path), pool)


@pytest.mark.parametrize("name", ["tasks.parquet", "programs.parquet"])
def test_a_truncated_or_missing_file_is_refused(pool_path, name):
    file = pool_path / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(PoolError, match=f"cannot read .*{name}"):
        read_pool(pool_path)
    file.unlink()
    with pytest.raises(PoolError, match="no such file"):
        read_pool(pool_path)


def test_a_flipped_byte_is_noticed(pool_path):
    """Pages carry checksums: a number that is wrong in silence would be trained on."""
    file = pool_path / "programs.parquet"
    whole = file.read_bytes()
    for place in np.linspace(4, 0.9 * len(whole), 12).astype(int):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(PoolError, match=r"programs\.parquet"):
            read_pool(pool_path)


def test_what_a_pool_says_of_networks_is_left_alone_and_goes_along(pool, tmp_path):
    write_pool(pool, tmp_path / "a")
    (tmp_path / "a" / "networks.json").write_text('{"net": {}}')
    write_pool(read_pool(tmp_path / "a"), tmp_path / "a")
    write_pool(read_pool(tmp_path / "a"), tmp_path / "b")
    copy_networks(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b" / "networks.json").read_text() == '{"net": {}}'
    write_pool(pool, tmp_path / "c")
    copy_networks(tmp_path / "c", tmp_path / "a")
    assert (tmp_path / "a" / "networks.json").read_text() == '{"net": {}}'

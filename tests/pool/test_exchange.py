"""The exchange format: what is written comes back, and what is wrong is named in one line."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from balto.errors import PoolError
from balto.measure.outcome import Outcome, Status
from balto.pool.exchange import read_pool, write_pool


def edit(path, change):
    """Change a pool's programs.parquet, as a list of rows."""
    table = pq.read_table(path / "programs.parquet")
    rows = table.to_pylist()
    schema = change(rows) or table.schema
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path / "programs.parquet")


def test_a_pool_comes_back_as_it_was(pool, pool_path):
    back = read_pool(pool_path)
    assert [t.name for t in back.tasks] == [t.name for t in pool.tasks]
    np.testing.assert_array_equal(back.features.rows, pool.features.rows)
    np.testing.assert_array_equal(back.features.offsets, pool.features.offsets)
    np.testing.assert_array_equal(back.latency_s, pool.latency_s)
    assert list(back.traces) == list(pool.traces)
    assert [o.status for o in back.outcomes] == [o.status for o in pool.outcomes]


def test_unmeasured_programs_are_left_out_and_ids_stay_dense(pool, tmp_path):
    pool.outcomes = [o if i % 2 else None for i, o in enumerate(pool.outcomes)]
    pool.outcomes[60:120] = [None] * 60
    assert write_pool(pool, tmp_path / "half") == 60
    back = read_pool(tmp_path / "half")
    assert [t.name for t in back.tasks] == [pool.tasks[0].name, pool.tasks[2].name]
    np.testing.assert_array_equal(back.features[30], pool.features[121])


def test_out_of_memory_is_exported_as_a_crash(pool, tmp_path):
    pool.outcomes[0] = Outcome(Status.OUT_OF_MEMORY)
    write_pool(pool, tmp_path / "p")
    assert read_pool(tmp_path / "p").outcomes[0].status is Status.CRASH


def test_nothing_measured_cannot_be_exported(pool, tmp_path):
    pool.outcomes = [None] * len(pool)
    with pytest.raises(PoolError, match="nothing to export"):
        write_pool(pool, tmp_path / "p")


def nan_feature(rows):
    rows[7]["features"][0][3] = float("nan")


def negative_latency(rows):
    rows[7]["latency_s"] = -1e-3


def missing_latency(rows):
    rows[7]["latency_s"] = None


def narrow_feature(rows):
    rows[7]["features"][0] = rows[7]["features"][0][:-1]


def strange_status(rows):
    rows[7]["status"] = "fine"


def wrong_order(rows):
    rows[7], rows[8] = rows[8], rows[7]


def unknown_task(rows):
    rows[-1]["task_id"] = 9


def missing_column(rows):
    for row in rows:
        del row["build_s"]
    return pa.Table.from_pylist(rows).schema


def no_store(rows):
    rows[7]["features"] = []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (nan_feature, "features must be finite, row 7"),
        (negative_latency, "latency_s must be a positive number, row 7 has -0.001"),
        (missing_latency, "an ok program needs a latency_s > 0, row 7"),
        (narrow_feature, "every feature row must have 164 columns"),
        (strange_status, "status must be one of .*, not fine"),
        (wrong_order, "must be ordered by task_id"),
        (unknown_task, r"task_id in programs.parquet must be in 0..2"),
        (missing_column, "missing column build_s"),
        (no_store, "at least one feature row"),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_a_bad_pool_is_refused_in_one_line(pool_path, change, says):
    edit(pool_path, change)
    with pytest.raises(PoolError, match=says) as error:
        read_pool(pool_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["tasks.parquet", "programs.parquet"])
def test_a_truncated_or_missing_file_is_refused(pool_path, name):
    file = pool_path / name
    file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(PoolError, match=f"cannot read .*{name}"):
        read_pool(pool_path)
    file.unlink()
    with pytest.raises(PoolError, match="no such file"):
        read_pool(pool_path)

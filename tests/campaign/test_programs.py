"""A campaign's pool holds what is asked for of its files, in memory or mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from balto.campaign.programs import encode_programs, make_pool, read_features
from balto.campaign.records import Programs
from balto.data import mapped
from balto.data.features import FEATURE_SETS
from balto.data.files import read_json, write_json
from balto.data.target import LLVM
from balto.data.task import Task
from balto.errors import CampaignError
from balto.programs.sample import Sampled
from balto.tasks.extract import Extracted
from balto.tasks.files import read_tasks, write_tasks

TASKS = [Task(f"t{k}", "op", "[]", 1, LLVM, "none", 1.0) for k in range(3)]


def test_tasks_of_an_older_balto_have_no_notes(tmp_path: Path) -> None:
    path, found = (
        tmp_path / "tasks.json",
        Extracted(TASKS, [("relu", "computes nothing")], ["note"]),
    )
    write_tasks(path, found)
    assert read_tasks(path) == found
    content = read_json(path)
    del content["notes"]
    write_json(path, content)
    assert read_tasks(path) == Extracted(TASKS, [("relu", "computes nothing")])


@pytest.fixture
def files(tmp_path: Path) -> tuple[list[Path], list[Programs], list[Sampled]]:
    """Three tasks of 5, 6 and 7 programs, of one to four stores each."""
    rng = np.random.default_rng(0)
    paths, programs, drawn = [], [], []
    for k in range(3):
        count = 5 + k
        rows = {
            name: [
                rng.random((int(rng.integers(1, 5)) if name == "store" else 1, each.width))
                for _ in range(count)
            ]
            for name, each in FEATURE_SETS.items()
        }
        features = {name: [r.astype(np.float32) for r in each] for name, each in rows.items()}
        sampled = Sampled([f"trace {k}.{i}" for i in range(count)], features, list(range(count)))
        what, data = encode_programs(sampled)
        paths.append(tmp_path / f"{k:05d}.parquet")
        paths[-1].write_bytes(data)
        programs.append(what)
        drawn.append(sampled)
    return paths, programs, drawn


@pytest.mark.parametrize("limit", [1 << 30, 6000, -1], ids=["memory", "some mapped", "mapped"])
@pytest.mark.parametrize("sets", [None, ("decisions", "loops"), ("store",)])
def test_a_pool_holds_the_sets_that_are_wanted(files, sets, limit, monkeypatch):
    paths, programs, drawn = files
    monkeypatch.setattr(mapped, "MAPPED", limit)
    pool = make_pool(TASKS, paths, programs, sets)
    assert pool.features.names == (sets or tuple(FEATURE_SETS))
    for name in pool.features.names:
        wanted = [rows for each in drawn for rows in each.features[name]]
        features = pool.features[name]
        assert [len(rows) for rows in wanted] == features.counts.tolist()
        np.testing.assert_array_equal(features.rows, np.concatenate(wanted))
        assert isinstance(features.rows, np.memmap) == (features.rows.nbytes > limit)
    assert [len(pool.programs(k)) for k in range(3)] == [5, 6, 7]
    assert pool.trace(2, 6) == "trace 2.6"


def test_a_pool_without_sets_unpacks_nothing(files):
    paths, programs, _ = files
    pool = make_pool(TASKS, paths, programs, sets=())
    assert len(pool.features) == len(pool) == 18
    assert pool.features.names == ()
    assert pool.trace(1, 0) == "trace 1.0"
    paths[2].write_bytes(paths[2].read_bytes()[:-1])
    with pytest.raises(CampaignError, match="its checksum does not match"):
        pool.trace(2, 0)
    with pytest.raises(CampaignError, match="its checksum does not match"):
        read_features(paths[2], programs[2])

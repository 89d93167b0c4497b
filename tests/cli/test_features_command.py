"""``balto features``: what can be made is made, what cannot is named; advice is of use."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

import balto
from balto.cli import cli
from balto.data.features import FEATURE_SETS, FeatureSet, drawn_sets
from balto.data.pool_writer import write_pool
from balto.errors import InputError, PoolError
from balto.testing import made_up_pool


@pytest.fixture(scope="module")
def sampled():
    """Two operators with a few programs, whose traces TVM can schedule."""
    specs = ["matmul:64x64x64", "max_pool2d_nchw:1x4x4x1x1"]
    return balto.sample(balto.extract_tasks([], specs, "llvm").tasks, 4)


def written(pool, path, *, broken=()):
    """The pool with the feature set `store` alone; some of its tasks have lost their module."""
    tasks = [
        replace(task, module=None, op="mine") if k in broken else task
        for k, task in enumerate(pool.tasks)
    ]
    less = replace(pool, tasks=tasks, features=pool.features.select(["store"]))
    write_pool(less, path, unmeasured=True)
    return path


def run(*args):
    return CliRunner().invoke(cli, [str(a) for a in args])


@pytest.mark.slow
def test_a_task_that_cannot_be_made_again_is_named_and_the_others_are_done(sampled, tmp_path):
    path = written(sampled, tmp_path / "p", broken=[0])
    done = run("features", path, "-o", tmp_path / "more")
    assert done.exit_code == 0, done.output
    assert f"left out {sampled.tasks[0].name}: task" in done.stderr
    assert "has no module, and mine is no operator of balto's" in done.stderr
    more = balto.read_pool(tmp_path / "more")
    assert [task.name for task in more.tasks] == [sampled.tasks[1].name]
    assert set(more.features.names) == set(drawn_sets())
    assert list(more.traces) == list(sampled.traces)[sampled.offsets[1] :]


@pytest.mark.slow
@pytest.mark.parametrize("other", ["p", None])
def test_a_pool_never_loses_a_task_to_its_own_features(sampled, tmp_path, other):
    path = written(sampled, tmp_path / "p", broken=[0])
    before = (path / "programs.parquet").read_bytes()
    done = run("features", path, *(["-o", tmp_path / other] if other else []))
    assert isinstance(done.exception, InputError)
    assert "1 of 2 tasks cannot be made" in str(done.exception)
    assert "-o OTHER" in str(done.exception)
    assert (path / "programs.parquet").read_bytes() == before


@pytest.mark.slow
def test_where_no_task_can_be_made_the_reason_is_the_error(sampled, tmp_path):
    path = written(sampled, tmp_path / "p", broken=[0, 1])
    done = run("features", path, "-o", tmp_path / "more")
    assert isinstance(done.exception, InputError)
    assert "has no module" in str(done.exception)
    assert not (tmp_path / "more").exists()


@pytest.mark.slow
def test_a_pool_of_another_baltos_features_gets_those_of_this_one(sampled, tmp_path, monkeypatch):
    with monkeypatch.context() as other:
        other.setitem(FEATURE_SETS, "store", FeatureSet("store", 99, FEATURE_SETS["store"].width))
        path = written(sampled, tmp_path / "p")
    with pytest.raises(PoolError, match=f"balto features {path} makes them anew"):
        balto.read_pool(path)
    assert run("features", path).exit_code == 0
    assert set(balto.read_pool(path).features.names) == set(drawn_sets())


@pytest.mark.slow
def test_replay_advises_features_where_they_can_be_made(sampled, tmp_path):
    whole = run("replay", written(sampled, tmp_path / "a b"), "--rounds", "1")
    assert f"balto features '{tmp_path / 'a b'}' adds it" in whole.stderr
    broken = run("replay", written(sampled, tmp_path / "c", broken=[1]), "--rounds", "1")
    assert "balto features" not in broken.stderr


def test_replay_does_not_advise_what_would_be_refused(tmp_path):
    write_pool(made_up_pool(), tmp_path / "p")
    done = run("replay", tmp_path / "p", "--rounds", "1", "--seeds", "1")
    assert done.exit_code == 0, done.output
    assert "balto features" not in done.stderr
    assert isinstance(run("features", tmp_path / "p").exception, InputError)


@pytest.mark.parametrize("words", ["replay P", "pretrain W --pool P"])
def test_a_pool_of_one_program_a_task_teaches_nothing(tmp_path, words):
    write_pool(made_up_pool(tasks=4, programs=1, failures=False), tmp_path / "P")
    paths = {name: str(tmp_path / name) for name in ("P", "W")}
    done = run(*(paths.get(word, word) for word in words.split()))
    assert isinstance(done.exception, InputError)
    assert "at least 2 programs" in str(done.exception)


def test_what_is_made_on_demand_is_advised_with_its_option():
    features = made_up_pool().features
    with pytest.raises(InputError, match="balto features --assembly makes it"):
        features["assembly"]
    with pytest.raises(InputError, match="balto features makes it"):
        features["loops"]

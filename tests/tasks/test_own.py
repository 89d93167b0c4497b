"""Computations of a user's own, in TVMScript or te, as tasks that are measured and tuned."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import balto
from balto.data.task import Task
from balto.errors import CampaignError, ConfigurationChanged, InputError
from balto.workers.tvm_setup import import_tvm
from balto.workers.worker import Worker

pytest.importorskip("tvm")
tvm = import_tvm()
te, T = tvm.te, tvm.script.tirx


@T.prim_func(s_tir=True)
def scale(A: T.Buffer((32, 64), "float32"), B: T.Buffer((32, 64), "float32")):
    for i, j in T.grid(32, 64):
        with T.sblock("scale"):
            vi, vj = T.axis.remap("SS", [i, j])
            B[vi, vj] = A[vi, vj] * T.float32(3) + T.float32(1)


@T.prim_func
def without_blocks(A: T.Buffer((32,), "float32"), B: T.Buffer((32,), "float32")):
    for i in range(32):
        B[i] = A[i] * T.float32(2)


@T.prim_func(s_tir=True)
def with_a_number(x: T.float32, A: T.Buffer((32,), "float32"), B: T.Buffer((32,), "float32")):
    for i in range(32):
        with T.sblock("scale"):
            vi = T.axis.spatial(32, i)
            B[vi] = A[vi] * x


def product(m: int = 48, bias: int = 1) -> Any:
    """A matrix product with a bias, by te, as an IRModule."""
    a, b = te.placeholder((m, 64), name="a"), te.placeholder((64, 32), name="b")
    r = te.reduce_axis((0, 64), name="r")
    c = te.compute((m, 32), lambda i, j: te.sum(a[i, r] * b[r, j], axis=r), name="c")
    d = te.compute((m, 32), lambda i, j: c[i, j] + bias, name="d")
    return tvm.IRModule({"main": te.create_prim_func([a, b, d])})


def of_te(shape: tuple[Any, ...], compute: Any) -> Any:
    a = te.placeholder(shape, name="a")
    return te.create_prim_func([a, te.compute(shape, lambda *at: compute(a, *at), name="b")])


def scheduled() -> Any:
    schedule = tvm.s_tir.Schedule(tvm.IRModule({"main": scale}))
    schedule.parallel(schedule.get_loops(schedule.get_sblock("scale"))[0])
    return schedule.mod


def test_a_task_says_what_is_computed():
    task = balto.task_of(scale, name="scale", device="here")
    assert (task.name, task.op, task.device) == ("scale_32x64", "scale", "here")
    assert json.loads(task.args) == [[32, 64], [32, 64]]
    assert task.flop == 2 * 32 * 64
    assert task.target.kind == "llvm"
    assert task.target.mcpu, "asked of this machine"


def test_a_function_and_a_module_of_it_are_the_same_task():
    module = product()
    assert balto.task_of(module) == balto.task_of(module["main"])


SYMBOLIC = te.var("n")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (lambda: 3, "expected an IRModule or a PrimFunc, got int"),
        (lambda: tvm.IRModule({}), "only function is a PrimFunc called main, got none"),
        (lambda: tvm.IRModule({"scale": scale}), "called main, got scale"),
        (lambda: tvm.IRModule({"main": scale, "other": scale}), "called main, got main, other"),
        (
            lambda: of_te((SYMBOLIC,), lambda a, i: a[i] * 2),
            "its arguments are not all arrays of constant",
        ),
        (lambda: of_te((8, 8), lambda a, i, j: a[j, i]), "moves data only, computes nothing"),
        (lambda: with_a_number, "its arguments are not all arrays of constant"),
        (lambda: without_blocks, "got one without blocks"),
        (scheduled, "not scheduled yet, got one whose loops are parallel"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_what_cannot_be_a_task_is_refused_in_one_line(given, words):
    with pytest.raises(InputError, match=words) as refused:
        balto.task_of(given())
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "two words", "2nd", "a/b", "x" * 2 + "\n", 3, None])
def test_a_name_is_a_word(name):
    with pytest.raises(InputError, match="expected a name of letters, digits and _"):
        balto.task_of(scale, name=name)


def test_a_target_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="expected a target"):
        balto.task_of(scale, "abacus")


def test_tasks_survive_being_written_and_a_damaged_file_is_refused(tmp_path):
    tasks = [balto.task_of(scale, name="scale"), balto.task_of(product(), name="product")]
    balto.write_task_file(tmp_path / "own.json", tasks)
    assert balto.read_task_file(tmp_path / "own.json") == tasks
    text = (tmp_path / "own.json").read_text()
    (tmp_path / "own.json").write_text(text.replace("scale_32x64", "scale_32x65"))
    with pytest.raises(CampaignError, match=r"balto\.write_task_file"):
        balto.read_task_file(tmp_path / "own.json")
    with pytest.raises(CampaignError, match="No such file"):
        balto.read_task_file(tmp_path / "none.json")


def test_tasks_of_one_name_without_module_or_for_two_targets_are_not_written(tmp_path):
    task = balto.task_of(scale, name="scale")
    two = '{"kind": "llvm", "num-cores": 2}'
    same = balto.task_of(of_te((32, 64), lambda a, i, j: a[i, j] * 5), name="scale")
    for tasks, words in (
        ([task, same], "twice"),
        ([task, balto.task_of(product(), two)], "expected tasks of one target"),
        ([replace(task, module=None)], "with its module"),
    ):
        with pytest.raises(InputError, match=words):
            balto.write_task_file(tmp_path / "own.json", tasks)
    assert not (tmp_path / "own.json").exists()


def test_a_campaign_takes_tasks_for_its_target_alone():
    task = balto.task_of(scale, '{"kind": "llvm", "num-cores": 2}')
    with pytest.raises(InputError, match="expected tasks for the campaign's target"):
        balto.Config(tasks=(task,))
    assert balto.Config(tasks=(task,), target=task.target).tasks == (task,)
    with pytest.raises(InputError, match=r"as balto\.task_of makes it, got 3"):
        balto.Config(tasks=(3,))
    with pytest.raises(InputError, match="with its module"):
        balto.Config(tasks=(replace(task, module=None),), target=task.target)


def use(folder: str, name: str, inputs: list[Any]) -> Any:
    """Runs in a worker, as a deployment: what the library of a task computes."""
    return balto.load_tuned(folder).run(inputs, name)


@pytest.mark.slow
def test_tasks_of_ones_own_are_tuned_beside_operators_and_gone_on_with(tmp_path):
    mine, theirs = balto.task_of(product(), name="product"), "softmax_mn:32x64"
    tasks = [mine, theirs, balto.task_of(scale, name="scale")]
    tuned = balto.tune_operators(tasks, tmp_path / "tuned", trials=4)
    assert sorted(each.task.name for each in tuned) == [
        *("product_48x64,64x32", "scale_32x64", "softmax_mn_32x64")
    ]
    assert {each.task.op: each.trials for each in tuned} == {
        "product": 4,
        "softmax_mn": 4,
        "scale": 1,  # all that there is: nothing of it can be decided on one core
    }
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=s).astype("float32") for s in ((48, 64), (64, 32), (32, 64)))
    with Worker() as worker:
        for name, inputs, expected in (
            ("product_48x64,64x32", [a, b], a @ b + 1),
            ("scale_32x64", [c], 3 * c + 1),
        ):
            got = worker.call(
                *("tests.tasks.test_own:use", str(tmp_path / "tuned"), name, inputs), deadline_s=60
            )
            np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    journal = (tmp_path / "tuned" / "journal.jsonl").read_bytes()
    again = balto.tune_operators(tasks, tmp_path / "tuned", trials=4)
    assert [each.latency_s for each in again] == [each.latency_s for each in tuned]
    assert (tmp_path / "tuned" / "journal.jsonl").read_bytes() == journal
    other = of_te((32, 64), lambda a, i, j: a[i, j] * 5 + 1)
    changed = [*tasks[:2], balto.task_of(other, name="scale")]  # of the same name and shapes
    with pytest.raises(ConfigurationChanged, match="modules"):
        balto.tune_operators(changed, tmp_path / "tuned", trials=4)


def small(tasks: tuple[Task, ...]) -> balto.Config:
    return balto.Config(
        tasks=tasks,
        operators=("matmul:32x32x32",),
        programs=12,
        budget=0.5,
        rounds=2,
        test_share=0.25,
        start_from="none",
    )


@pytest.mark.slow
def test_a_live_campaign_measures_them_goes_on_and_refuses_a_changed_one(tmp_path):
    tasks = (balto.task_of(product(), name="product"), balto.task_of(product(8), name="short"))
    with balto.Campaign(tmp_path / "w", small(tasks)) as campaign:
        first = campaign.run("live")
        known = len(campaign.facts.outcomes)
    assert {"product_48x64,64x32", "short_8x64,64x32"} < set(first.picks)
    assert all(first.picks.values())
    with balto.Campaign(tmp_path / "w", small(tasks)) as campaign:
        assert campaign.finished
        assert campaign.run("live").picks == first.picks
        assert len(campaign.facts.outcomes) == known
    pool = balto.pool_of(tmp_path / "w")
    assert [task.module for task in pool.tasks[1:]] == [task.module for task in tasks]
    other = balto.task_of(product(8, bias=2), name="short")  # of the same name and shapes
    with pytest.raises(ConfigurationChanged, match="tasks"):
        balto.Campaign(tmp_path / "w", small((tasks[0], other)))


@pytest.mark.slow
def test_the_commands_read_tasks_from_a_file(tmp_path: Path):
    balto.write_task_file(tmp_path / "own.json", [balto.task_of(product(), name="product")])

    def run(*words: object) -> dict[str, Any]:
        command = [sys.executable, "-m", "balto", *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
        return json.loads(done.stdout)

    tuned = run("tune", "--tasks", "own.json", "--trials", 3, "-f", "json")
    assert tuned["operators"]["product_48x64,64x32"]["trials"] == 3
    small = ("--programs", 8, "--budget", "50%", "--rounds", 1, "--test-share", "25%")
    trained = run("pretrain", "work", "--tasks", "own.json", *small, "-f", "json")
    assert trained["state"] == "finished"
    refused = subprocess.run(
        [sys.executable, "-m", "balto", "tune", "--tasks", "none.json"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert refused.returncode == 2
    assert "none.json" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1

"""``balto tune`` from the command line to arrays; killed, and gone on with."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import balto
from balto.data.outcome import Outcome, Status
from balto.data.target import LLVM
from balto.data.task import Task
from balto.journal.file import read
from balto.search.tuning import TunedTask
from balto.workers.worker import Worker

pytest.importorskip("tvm")

OPERATORS = ["--operator", "matmul:64x64x64", "--operator", "softmax_mn:32x64"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "balto", "tune", *map(str, arguments)]


def run(arguments: list[str]) -> str:
    return subprocess.run(arguments, capture_output=True, text=True, timeout=300, check=True).stdout


def trials(folder: Path) -> list[tuple[str, str]]:
    records = read(folder / "journal.jsonl")
    return [(r["task"], r["trace"]) for r in records if r["kind"] == "trial" and r["trace"]]


def use(folder: str) -> tuple[list[str], float, float]:
    """Runs in a worker, as a deployment: operators, error of the matmul, seconds it takes."""
    tuned = balto.load_tuned(folder)
    a, b = np.random.default_rng(0).normal(size=(2, 64, 64)).astype("float32")
    name = tuned.operators[0]
    error = float(np.abs(tuned.run([a, b], name) - a @ b).max())
    for wrong, words in (
        ([a], "inputs of shapes"),
        (None, "a list of arrays"),
        ([a * 1j, b], "expected numbers"),
    ):
        with pytest.raises(balto.BaltoError, match=words):
            tuned.run(wrong, name)  # type: ignore[arg-type]
    with pytest.raises(balto.BaltoError, match="repeats"):
        tuned.benchmark(name, repeats=0)
    assert np.array_equal(
        pickle.loads(pickle.dumps(tuned)).run([a, b], name), tuned.run([a, b], name)
    )
    assert folder in repr(tuned)
    assert os.environ["TVM_NUM_THREADS"] == "1"
    with pytest.raises(balto.BaltoError, match="expected one of"):
        tuned.run([a, b])
    return list(tuned.operators), error, tuned.benchmark(name).latency_s


def database(folder: str) -> tuple[int, int]:
    """Runs in a worker: workloads and records as MetaSchedule itself reads them."""
    from balto.workers.tvm_setup import import_tvm

    import_tvm()
    from tvm.s_tir import meta_schedule as ms

    records = ms.database.JSONDatabase(work_dir=f"{folder}/database").get_all_tuning_records()
    return len({hash(r.workload) for r in records}), len(records)


def alone(folder: str) -> float:
    """Runs in a worker: the largest error of the library, loaded by TVM with no more of balto."""
    from balto.workers.tvm_setup import import_tvm

    tvm = import_tvm()
    a, b = np.random.default_rng(0).normal(size=(2, 64, 64)).astype("float32")
    tensors = [tvm.runtime.tensor(x, tvm.cpu()) for x in (a, b, np.zeros_like(a))]
    tvm.runtime.load_module(f"{folder}/matmul_64x64x64.so")["main"](*tensors)
    return float(np.abs(tensors[-1].numpy() - a @ b).max())


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_and_what_it_makes_runs(tmp_path: Path) -> None:
    folder = tmp_path / "tuned"
    arguments = command(*OPERATORS, "--trials", 10, "-o", folder, "-f", "json")
    first = subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            if (folder / "journal.jsonl").exists() and len(trials(folder)) >= 3:
                break
            time.sleep(0.05)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    kept = trials(folder)
    assert len(kept) >= 3
    with pytest.raises(balto.BaltoError, match="run the same balto tune again"):
        balto.load_tuned(folder)
    told = run(arguments)
    assert trials(folder)[: len(kept)] == kept
    assert len(trials(folder)) == len(set(trials(folder))) == 20
    found = json.loads(told)["operators"]
    assert [each["trials"] for each in found.values()] == [10, 10]
    assert all(each["latency_s"] <= each["untuned_s"] for each in found.values())
    with Worker() as worker:
        operators, error, seconds = worker.call(
            "tests.tune.test_tune:use", str(folder), deadline_s=60
        )
        assert operators == list(found)
        assert error < 1e-4
        assert 0 < seconds < 0.1
        workloads, records = worker.call(
            "tests.tune.test_tune:database", str(folder), deadline_s=60
        )
        assert workloads == 2
        assert records >= 10
        assert worker.call("tests.tune.test_tune:alone", str(folder), deadline_s=60) < 1e-4
    assert balto.load_model(folder / "model.balto")
    subprocess.run(
        [sys.executable, "-m", "balto", "export", folder, tmp_path / "pool"],
        capture_output=True,
        timeout=120,
        check=True,
    )
    journal, library = (folder / "journal.jsonl").read_bytes(), folder / f"{operators[0]}.so"
    written = library.stat().st_mtime_ns
    assert json.loads(run(arguments)) == json.loads(told)  # nothing is searched again
    assert library.stat().st_mtime_ns == written
    library.unlink()
    assert json.loads(run(arguments)) == json.loads(told)  # but what is lost is made again
    assert library.exists()
    assert (folder / "journal.jsonl").read_bytes() == journal
    pool = balto.read_pool(tmp_path / "pool")
    names = [name for name, _ in trials(folder)]
    assert [task.name for task in pool.tasks for _ in range(10)] == names
    assert list(pool.traces) == [trace for _, trace in trials(folder)]
    assert pool.features.names == ("store", "decisions", "loops", "cycles")
    measured = {r["trace"]: r for r in read(folder / "journal.jsonl") if r["kind"] == "trial"}
    assert pool.latency_s[0] == pytest.approx(measured[pool.traces[0]]["latency_s"])
    other = subprocess.run(
        [*arguments, "--seed", "1"], capture_output=True, text=True, timeout=120, check=False
    )
    assert other.returncode == 2
    assert "was tuned with seed 0, now asked with 1" in other.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--operator", "matmul:8x8"], "matmul takes 3"),
        (["--operator", "matmul:8x8x8", "--trials", "-1"], "trials"),
        (["--operator", "matmul:8x8x8", "--trials", "0", "--start-from", "none"], "trials"),
        (["--operator", "matmul:8x8x8", "--seed", str(2**63)], "seed"),
        (["--operator", "matmul:8x8x8", "-o", "nu\udcff"], "UTF-8"),
        (["--operator", "matmul:8x8x8", "--model", "here.txt"], "here.txt is no model file"),
        (["--operator", "matmul:8x8x8", "-o", "."], "holds something else"),
        ([], "--operator"),
    ],
)
def test_bad_input_costs_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "here.txt").write_text("no model")
    done = subprocess.run(
        command(*arguments), cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert words in done.stderr


def test_a_refused_tuning_leaves_the_folder_to_the_next(tmp_path: Path) -> None:
    """Before the journal is begun, and after: TVM cannot sample the second one."""
    out = tmp_path / "tuned"
    for refused, words in (
        (["--operator", "matmul:8x8x8", "--target", '{"kind": "llvm", "num-cores": 999}'], "999"),
        (["--operator", "matmul:8x8x999999999999"], "matmul"),
    ):
        done = subprocess.run(
            command(*refused, "-o", out), capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 2, done.stderr
        assert words in done.stderr.splitlines()[-1]
        assert not out.exists() or not any(out.iterdir())


def test_why_no_trial_ran_is_said_where_none_did() -> None:
    def tuned(*outcomes: Outcome) -> TunedTask:
        programs = [(str(k), outcome) for k, outcome in enumerate(outcomes)]
        return TunedTask(
            task=Task("t", "t", "[]", 1, LLVM, "here"),
            trace="",
            latency_s=1.0,
            untuned_s=1.0,
            programs=programs,
            best_s=[],
            asking_s=0.0,
            seconds=1.0,
            wrong=0,
            lost=0,
        )

    killed = Outcome(Status.CRASH, message="the worker was killed by SIGILL")
    slow = Outcome(Status.RUN_TIMEOUT, message="too long")
    assert tuned(slow, killed, killed).failure == killed.message
    assert tuned(killed, Outcome(Status.OK, 1.0, 1.0)).failure == ""
    assert tuned().failure == ""


def test_a_model_of_another_kind_of_device_is_refused(tmp_path: Path) -> None:
    from balto.testing.models import labelled_programs
    from balto.tune import tune_operators

    model = balto.create_model("xgb")
    model.fit(*labelled_programs())
    balto.save_model(model, tmp_path / "gpu.balto", {"targets": ['{"kind": "cuda"}']})
    with pytest.raises(balto.BaltoError, match="expected a model of llvm programs"):
        tune_operators(["matmul:8x8x8"], tmp_path / "tuned", start_from=tmp_path / "gpu.balto")

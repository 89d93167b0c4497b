"""Tasks without trials: which program they get, and what is said of it."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import balto
from balto.data.target import LLVM, Target
from balto.deploy.operators import suffix_of
from balto.errors import InputError
from balto.journal.file import read
from balto.search.budget import Share, latencies, next_task
from balto.search.favourite import trusted
from balto.tune.network import TunedNetwork, tune_network
from balto.tune.operators import tune_operators
from balto.tune.status import tune_status
from balto.workers.worker import Worker
from tests.tune.small_networks import Small, save_onnx

AARCH64 = '{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}'
#: In an ELF file: where its header says the kind of processor, and which number is AArch64.
MACHINE, IS_AARCH64 = slice(18, 20), (183).to_bytes(2, "little")

PREDICTED = st.lists(st.floats(0.02, 1.0), min_size=1, max_size=8)


@given(PREDICTED)
def test_where_the_members_agree_the_highest_prediction_is_taken(predicted: list[float]) -> None:
    said = np.array(predicted)
    assert trusted(said, np.stack([said, said])) == pytest.approx(said)


@given(PREDICTED, st.lists(st.floats(0.01, 0.5), min_size=8, max_size=8))
def test_what_the_members_dispute_is_trusted_less(predicted: list[float], by: list[float]) -> None:
    said, apart = np.array(predicted), np.array(by[: len(predicted)])
    left = trusted(said, np.stack([said - apart, said + apart]))
    assert left == pytest.approx(said - apart)


def test_a_task_never_tried_is_expected_to_take_what_its_favourite_takes() -> None:
    tried = Share(1, 1e6, untuned_s=1e-2, favourite=0.5)
    tried.record(1e-3)  # half of the best rate: that is 2e9 FLOP a second
    others = [Share(1, 4e6, favourite=1.0), Share(1, 4e6, favourite=0.25)]
    assert latencies([tried, *others]) == pytest.approx([1e-3, 2e-3, 8e-3])
    assert next_task([tried, *others]) == 2
    slow = Share(1, 1e6, untuned_s=1e-2, favourite=0.5)
    slow.record(4e-3)  # the model is four times too hopeful on this machine
    assert latencies([slow, *others])[1:] == pytest.approx([8e-3, 3.2e-2])


def test_the_slice_that_measures_a_favourite_saved_what_is_left_to_gain() -> None:
    hopeful = Share(1, 1e6, untuned_s=1e-2, favourite=0.95)
    doubtful = Share(1, 1e6, untuned_s=1e-2, favourite=0.2)
    for share in (hopeful, doubtful):
        share.record(1e-3)
    assert (hopeful.saved, doubtful.saved) == pytest.approx((0.05, 0.8))
    assert next_task([hopeful, doubtful]) == 1


def test_only_for_another_kind_of_processor_objects_are_packed() -> None:
    assert suffix_of(LLVM) == ".so"
    assert (
        suffix_of(Target.of(f'{{"kind": "llvm", "mtriple": "{platform.machine()}-linux-gnu"}}'))
        == ".so"
    )
    assert suffix_of(Target.of(AARCH64)) == (".so" if platform.machine() == "aarch64" else ".tar")


def test_without_a_model_and_without_trials_there_is_nothing_to_take(tmp_path: Path) -> None:
    for name, tune in (("net", tune_network), ("op", tune_operators)):
        what: Any = "lenet-5" if name == "net" else ["matmul:8x8x8"]
        with pytest.raises(InputError, match=r"at least 1 of trials.*got 0"):
            tune(what, out=tmp_path / name, trials=0, start_from="none")
        assert not (tmp_path / name).exists()


def measured(folder: Path) -> list[tuple[str, str]]:
    """Task and trace of every trial, the untuned programs' too."""
    records = read(folder / "journal.jsonl")
    return [(r["task"], r["trace"]) for r in records if r["kind"] in ("trial", "again")]


def found(folder: Path) -> dict[str, dict[str, Any]]:
    [record] = [r for r in read(folder / "journal.jsonl") if r["kind"] == "found"]
    return {each["task"]: each for each in record["tasks"]}


def tuned(out: Path, trials: int) -> TunedNetwork:
    return tune_network(Small(), [torch.zeros(1, 3, 16, 16)], out=out, trials=trials)


@pytest.fixture(scope="module")
def unmeasured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network that was tuned with no trials."""
    pytest.importorskip("tvm")
    folder = tmp_path_factory.mktemp("favourites") / "tuned"
    tuned(folder, 0)
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
class TestANetworkWithoutTrials:
    def test_is_checked_and_timed_and_nothing_of_its_tasks_is(self, unmeasured: Path) -> None:
        about = json.loads((unmeasured / "tuned.json").read_text())
        assert measured(unmeasured) == []
        assert about["network"]["error"] <= 1
        latency_s, untuned_s = (about["network"][name] for name in ("latency_s", "untuned_s"))
        assert latency_s <= untuned_s
        assert about["tasks"]
        for task in about["tasks"].values():
            said = (task["tuned"], task["measured"], task["trials"], task["latency_s"])
            assert said == (latency_s < untuned_s, False, 0, None)
        assert about["tasks"].keys() == found(unmeasured).keys()
        assert about["tasks"].keys().isdisjoint(about["untried"])

    def test_says_so_to_whoever_asks(self, unmeasured: Path) -> None:
        now = tune_status(unmeasured)
        assert now.state == "finished"
        assert {task.name for task in now.tasks} == found(unmeasured).keys()
        assert not any(task.measured for task in now.tasks)
        assert not any(each["measured"] for each in now.to_dict()["tasks"].values())
        told = subprocess.run(
            [sys.executable, "-m", "balto", "status", unmeasured],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert told.stdout.count("not measured") == len(now.tasks)

    def test_computes_what_it_should(self, unmeasured: Path) -> None:
        x = np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype("float32")
        with Worker() as worker:
            [y] = worker.call("tests.search.test_favourite:use", str(unmeasured), x, deadline_s=60)
        expected = Small()(torch.from_numpy(x)).detach().numpy()
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)

    def test_goes_on_and_is_found_again(self, unmeasured: Path) -> None:
        journal = (unmeasured / "journal.jsonl").read_bytes()
        before = tuned(unmeasured, 0)
        (unmeasured / "tuned.json").unlink()  # killed while it was put together
        again = tuned(unmeasured, 0)
        assert (unmeasured / "journal.jsonl").read_bytes() == journal
        for one, other in zip(before.tasks, again.tasks, strict=True):
            assert (one.task.name, one.trace) == (other.task.name, other.trace)
            assert other.unmeasured
        assert before.untried == again.untried

    def test_few_trials_measure_the_same_programs_first(
        self, unmeasured: Path, tmp_path: Path
    ) -> None:
        """One trial for four tasks: it measures the favourite, and the others have theirs."""
        done = tuned(tmp_path / "tuned", 1)
        [(untuned, nothing), (task, trace)] = measured(tmp_path / "tuned")
        assert (untuned, nothing) == (task, "")
        assert done.trials == 1
        favourites = found(unmeasured)
        if task in favourites:
            assert trace == favourites[task]["trace"]
        for name, each in found(tmp_path / "tuned").items():
            assert each["measured"] == (name == task)
            if name != task and name in favourites:  # or its rough times were near each other
                assert each["trace"] == favourites[name]["trace"]


def use(folder: str, x: np.ndarray) -> list[np.ndarray]:
    """Runs in a worker: what a tuned network computes."""
    loaded = balto.load_tuned(folder)
    assert isinstance(loaded, balto.tune.DeployedNetwork)
    return loaded.run([x])


def benchmarked(folder: str) -> tuple[float, float]:
    """Runs in a worker: seconds of an operator, now and when it was tuned."""
    loaded = balto.load_tuned(folder)
    assert isinstance(loaded, balto.tune.Tuned)
    timed = loaded.benchmark()
    return timed.latency_s, timed.tuned_s


@pytest.mark.slow
def test_an_operator_without_trials_runs_and_is_timed_when_it_is_asked_for(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    [done] = tune_operators(["matmul:64x64x64"], tmp_path / "tuned", trials=0)
    assert done.unmeasured
    assert done.trace
    with Worker() as worker:
        now_s, then_s = worker.call(
            "tests.search.test_favourite:benchmarked", str(tmp_path / "tuned"), deadline_s=60
        )
    assert 0 < now_s < 0.1
    assert np.isnan(then_s)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs a machine of another kind")
def test_for_another_machine_a_network_is_compiled_and_said_to_be_unchecked(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    save_onnx(tmp_path / "net.onnx")
    out = tmp_path / "tuned"
    arguments = ["tune", str(tmp_path / "net.onnx"), "--target", AARCH64, "-o", str(out)]
    told = subprocess.run(
        [sys.executable, "-m", "balto", *arguments, "--trials", "0"],
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert "neither checked nor timed" in told.stdout.replace("\n", " ")
    about = json.loads((out / "tuned.json").read_text())
    network = about["network"]
    assert (network["latency_s"], network["untuned_s"], network["error"]) == (None, None, None)
    assert about["device"] is None
    assert [task["tuned"] for task in about["tasks"].values()] == [True]
    with tarfile.open(out / network["library"]) as packed:
        objects = [packed.extractfile(each) for each in packed.getmembers() if each.isfile()]
        assert {each.read(20)[MACHINE] for each in objects if each} == {IS_AARCH64}
    with pytest.raises(InputError, match="tuned for aarch64, this machine is x86_64"):
        balto.load_tuned(out)


@pytest.mark.slow
def test_packed_objects_load_where_there_is_a_compiler(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    save_onnx(tmp_path / "net.onnx")
    spec, library = str(tmp_path / "net.onnx"), tmp_path / "network.tar"
    with Worker() as worker:
        network = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
        target = network.tasks[0].target
        compiled = "balto.deploy.compile:compile_network"
        worker.call(compiled, spec, target, {}, library, deadline_s=120)
        checked = (spec, library, network.inputs, target)
        assert worker.call("balto.deploy.verify:compare", *checked, deadline_s=120).error <= 1

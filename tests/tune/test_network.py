"""Whole networks: tuned, killed and gone on with, compared, and run by TVM alone."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

import balto
from balto import models
from balto.data.target import LLVM, Target
from balto.data.task import Task
from balto.deploy import reference
from balto.deploy.assemble import right_traces
from balto.deploy.machine import time_in_turns
from balto.journal.file import read
from balto.models import starter
from balto.search.tuning import TunedTask
from balto.tune.network import as_deployed
from balto.workers.worker import Worker
from tests.tune.small_networks import (
    Small,
    save_batch_normalization,
    save_convolution,
    save_dropout,
    save_onnx,
    save_relu_of_int16,
    save_softmax,
)

pytest.importorskip("tvm")

#: As docs/tuning.md has it.
RECIPE = """
import os
import sys
import numpy as np, tvm
from tvm import relax
os.environ["TVM_NUM_THREADS"] = "1"  # cores
library = tvm.runtime.load_module(f"{sys.argv[1]}/network.so")
network = relax.VirtualMachine(library, tvm.cpu())["main"]
[y] = network(tvm.runtime.tensor(np.load(sys.argv[2])))
assert "balto" not in sys.modules
np.save(sys.argv[3], y.numpy())
"""
NO_BALTO = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "balto":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
"""


def trials(folder: Path) -> list[tuple[str, str]]:
    records = read(folder / "journal.jsonl")
    return [(r["task"], r["trace"]) for r in records if r["kind"] == "trial" and r["trace"]]


def use(folder: str, x: np.ndarray) -> tuple[list[np.ndarray], float]:
    """Runs in a worker, as a deployment: outputs, and seconds."""
    loaded = balto.load_tuned(folder)
    assert isinstance(loaded, balto.tune.DeployedNetwork)
    for wrong, words in (([x[0]], "inputs of shapes"), (None, "list of arrays")):
        with pytest.raises(balto.BaltoError, match=words):
            loaded.run(wrong)  # type: ignore[arg-type]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda _: loaded.run([x])[0], range(200)))
    assert all(np.array_equal(each, found[0]) for each in found)
    assert np.array_equal(pickle.loads(pickle.dumps(loaded)).run([x])[0], found[0])
    assert "when tuned" in repr(loaded)
    assert np.array_equal(loaded.run([x])[0], loaded.run({loaded.inputs[0][0]: x})[0])
    return loaded.run([x]), loaded.benchmark().latency_s


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporter warns about itself
def test_a_torch_module_killed_resumed_and_run_without_balto(tmp_path: Path) -> None:
    out, module, example = tmp_path / "tuned", Small(), (torch.zeros(1, 3, 16, 16),)
    torch.export.save(torch.export.export(module, example), tmp_path / "small.pt2")
    command = [sys.executable, "-m", "balto", "tune", str(tmp_path / "small.pt2"), "--trials", "10"]
    command += ["-o", str(out), "-f", "json"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 300
        while time.monotonic() < until:
            if (out / "journal.jsonl").exists() and len(trials(out)) >= 3:
                break
            time.sleep(0.05)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    kept = trials(out)
    assert len(kept) >= 3
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    found = json.loads(done.stdout)
    assert trials(out)[: len(kept)] == kept
    assert len(set(trials(out))) == len(trials(out)) == found["trials"] == 10
    assert found["latency_s"] <= found["untuned_s"]
    assert found["error"] <= 1
    assert found["reference"]["PyTorch"] > 0
    about = json.loads((out / "tuned.json").read_text())
    assert about["network"]["reference"] == found["reference"]
    assert {name: task["tuned"] for name, task in about["tasks"].items()} == {
        name: task["tuned"] for name, task in found["tasks"].items()
    }
    journal = (out / "journal.jsonl").read_bytes()
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(again.stdout) == found  # a finished folder is neither searched nor compiled
    (out / "tuned.json").unlink()  # killed while it was put together
    again = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert json.loads(again.stdout)["tasks"].keys() == found["tasks"].keys()
    assert (out / "journal.jsonl").read_bytes() == journal
    x = np.random.default_rng(1).normal(size=(1, 3, 16, 16)).astype("float32")
    expected = module(torch.from_numpy(x)).detach().numpy()
    with Worker() as worker:
        [y], seconds = worker.call("tests.tune.test_network:use", str(out), x, deadline_s=120)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-6)
    assert 0 < seconds < 1
    np.save(tmp_path / "x.npy", x)
    alone = [sys.executable, "-I", "-c", NO_BALTO + RECIPE, str(out)]
    alone += [str(tmp_path / "x.npy"), str(tmp_path / "y.npy")]
    subprocess.run(alone, check=True, timeout=120, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), expected, rtol=1e-4, atol=1e-6)
    save_onnx(tmp_path / "other.onnx")
    for changed, told in (
        ([*command, "--seed", "1"], "was tuned with seed 0, now asked with 1"),
        (
            [*command[:4], str(tmp_path / "other.onnx"), *command[5:]],
            "network 'small.pt2', now asked",
        ),
    ):
        other = subprocess.run(changed, capture_output=True, text=True, check=False)
        assert other.returncode == 2
        assert told in other.stderr


@pytest.mark.slow
def test_a_program_that_computes_something_else_is_named_and_left_out(tmp_path: Path) -> None:
    save_onnx(tmp_path / "net.onnx")
    spec, library = str(tmp_path / "net.onnx"), tmp_path / "network.so"
    with Worker() as worker:
        found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
        [task] = found.tasks
        trace = worker.call("tests.tune.small_networks:spoiled", task.module, deadline_s=60)

        def error_with(traces: dict[str, str]) -> float:
            arguments = (spec, task.target, traces, library)
            worker.call("balto.deploy.compile:compile_network", *arguments, deadline_s=120)
            checked = (spec, library, found.inputs, task.target)
            error: float = worker.call("balto.deploy.verify:compare", *checked, deadline_s=60).error
            return error

        assert error_with({task.name: trace}) > 1
        told: list[str] = []
        kept, wrong, error = right_traces({task.name: trace}, error_with, told.append)
    assert (kept, wrong, told) == ({}, [task.name], [task.name])
    assert error <= 1


def test_a_task_says_what_is_deployed_of_it() -> None:
    task = Task("a", "matmul", "[]", 1, LLVM, "here")
    tuned = TunedTask(
        task=task,
        trace="[]",
        latency_s=1.0,
        untuned_s=2.0,
        programs=(),
        best_s=(),
        asking_s=0.0,
        seconds=0.0,
        wrong=0,
        lost=0,
    )
    assert as_deployed(tuned, {"a": "[]"}) == tuned
    untuned = as_deployed(tuned, {})  # wrong within the network, or the untuned one is deployed
    assert (untuned.trace, untuned.latency_s, untuned.untuned_s) == ("", 2.0, 2.0)


@pytest.mark.parametrize("spec", ["lenet-5", "net.onnx"])
def test_a_network_runs_where_it_came_from_with_as_many_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spec: str
) -> None:
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    save_onnx(tmp_path / "net.onnx")
    shape = (4, 16) if spec == "net.onnx" else (1, 1, 32, 32)
    arrays = [np.random.default_rng(0).normal(size=shape).astype("float32")]
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with reference.runtime(spec, arrays, 2) as found:
            assert found is not None
            assert found[0] == ("PyTorch" if spec == "lenet-5" else "ONNX Runtime")
            assert torch.get_num_threads() == (2 if spec == "lenet-5" else 3)
            got = found[1]()
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
    _, [expected] = reference.expected(spec, arrays)
    np.testing.assert_allclose(got[0] if isinstance(got, list) else got, expected, atol=1e-5)


def test_without_onnx_runtime_nothing_is_timed_beside_an_onnx_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    save_onnx(tmp_path / "net.onnx")
    with reference.runtime(str(tmp_path / "net.onnx"), [np.zeros((4, 16), "float32")], 1) as found:
        assert found is None


@pytest.mark.parametrize("version", [9, 13, 14, 17])
def test_batches_are_normalised_as_at_inference_whatever_the_version(
    tmp_path: Path, version: int
) -> None:
    save_batch_normalization(tmp_path / "net.onnx", version)
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 5)).astype("float32")
    [y] = reference.evaluated(str(tmp_path / "net.onnx"), [x])
    np.testing.assert_allclose(y, x - 1, atol=1e-6)


@pytest.mark.slow
def test_a_dropout_is_no_reason_to_keep_a_layout(tmp_path: Path) -> None:
    library, spec = tmp_path / "network.so", str(tmp_path / "net.onnx")
    save_dropout(tmp_path / "net.onnx")
    with Worker() as worker:
        found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
        assert found.layout == "NHWC"
        compiled = (spec, LLVM, {}, library)
        worker.call("balto.deploy.compile:compile_network", *compiled, deadline_s=120)
        checked = (spec, library, found.inputs, LLVM)
        assert worker.call("balto.deploy.verify:compare", *checked, deadline_s=60).error <= 1


@pytest.mark.slow
def test_weights_that_are_nodes_of_the_file_are_laid_out_once_too(tmp_path: Path) -> None:
    run: dict[bool, list[str]] = {}
    library, spec = tmp_path / "network.so", str(tmp_path / "net.onnx")
    for node in (False, True):
        save_convolution(tmp_path / "net.onnx", weight_is_a_node=node)
        with Worker() as worker:
            found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
            [task] = found.tasks
            traces = {task.name: balto.sample(task, 1, seed=0).traces[0]}
            compiled = (spec, LLVM, traces, library)
            worker.call("balto.deploy.compile:compile_network", *compiled, deadline_s=120)
            checked = (spec, library, found.inputs, LLVM)
            assert worker.call("balto.deploy.verify:compare", *checked, deadline_s=60).error <= 1
            run[node] = worker.call(
                "tests.tune.small_networks:functions_run", library, (1, 32, 8, 8), deadline_s=60
            )
    assert any("prepacked" in name for name in run[False])  # or there was nothing to lay out
    assert len(run[True]) == len(run[False]), run


@pytest.mark.slow
def test_other_weights_make_another_network_wherever_the_file_has_them(tmp_path: Path) -> None:
    spec = str(tmp_path / "net.onnx")
    for node in (False, True):
        found = []
        for seed in (0, 1, 1):
            save_convolution(tmp_path / "net.onnx", weight_is_a_node=node, seed=seed)
            with Worker() as worker:
                found.append(worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120))
        first, other, again = (each.fingerprint for each in found)
        assert first != other == again


@pytest.mark.slow
def test_a_runtime_that_refuses_a_network_is_told_and_costs_nothing(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    library = tmp_path / "network.so"
    for save in (save_onnx, save_relu_of_int16):
        save(tmp_path / "net.onnx")
        spec = str(tmp_path / "net.onnx")
        with Worker() as worker:
            found = worker.call("balto.deploy.compile:read", spec, LLVM, deadline_s=120)
            compiled = (spec, LLVM, {}, library)
            worker.call("balto.deploy.compile:compile_network", *compiled, deadline_s=120)
            timed = ([library], spec, found.inputs, LLVM)
            [latency_s], beside, refused = worker.call(
                "balto.deploy.verify:time_beside", *timed, deadline_s=60
            )
        assert latency_s > 0
        if save is save_onnx:
            assert list(beside) == ["ONNX Runtime"]
            assert not refused
        else:
            assert not beside
            assert "Relu" in refused


def test_what_is_timed_in_turns_is_timed_warm_and_a_slow_one_but_twice() -> None:
    runs: list[str] = []
    seconds = time_in_turns([lambda: runs.append("a"), lambda: time.sleep(0.05)], 0.2)
    assert seconds[1] >= 0.05
    runs.clear()
    slow = [lambda: runs.append("a") or time.sleep(0.3), lambda: None]
    assert time_in_turns(slow, 0.2, slow_s=0.2)[0] >= 0.3
    assert len(runs) == 2


@pytest.mark.slow
def test_weights_of_one_name_stay_apart() -> None:
    with Worker() as worker:
        assert worker.call("tests.tune.small_networks:of_twins", 7, (2, 3), deadline_s=60) == 15


@pytest.mark.slow
def test_an_old_onnx_softmax_is_over_all_axes_from_its_own_on(tmp_path: Path) -> None:
    library = tmp_path / "network.so"
    with Worker() as worker:
        for operator in ("Softmax", "LogSoftmax"):
            old, meant, new = (str(tmp_path / f"{operator}-{n}.onnx") for n in "omn")
            save_softmax(Path(old), operator, 9)
            save_softmax(Path(meant), operator, 17, flattened=True)
            save_softmax(Path(new), operator, 17)
            found = worker.call("balto.deploy.compile:read", old, LLVM, deadline_s=120)
            compiled = (old, LLVM, {}, library)
            worker.call("balto.deploy.compile:compile_network", *compiled, deadline_s=120)
            errors = [
                worker.call(
                    "balto.deploy.verify:compare",
                    *(spec, library, found.inputs, LLVM),
                    deadline_s=60,
                ).error
                for spec in (old, meant, new)
            ]
            assert errors[0] <= 1
            assert errors[1] <= 1
            assert errors[2] > 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["net.onnx", "--trials", "-1"], ["--trials", "got '-1'"]),
        (["here.txt"], ["no network is called", "resnet-50"]),
        (["net.onnx", "--operator", "matmul:8x8x8"], ["expected a network, or --operator"]),
        (["net.onnx", "--model", "here.txt"], ["here.txt is no model file"]),
        (["net.onnx", "--model", "cuda.balto"], ["expected a model of llvm", "trained on cuda"]),
        (["dynamic.onnx"], ["--shape batch=1", "dynamic.onnx"]),
        (["unknown.onnx"], ["Det"]),
        (["net.onnx", "--target", '{"kind": "llvm", "num-cores": 4096}'], ["num-cores 4096"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
@pytest.mark.slow
def test_bad_input_costs_one_line(tmp_path: Path, arguments: list[str], words: list[str]) -> None:
    (tmp_path / "here.txt").write_text("no model")
    save_onnx(tmp_path / "net.onnx")
    save_onnx(tmp_path / "dynamic.onnx", dimension="batch")
    save_onnx(tmp_path / "unknown.onnx", operator="Det")
    model, _ = models.load(starter.model_path(starter.NAME))
    models.save(model, tmp_path / "cuda.balto", {"targets": [Target("cuda").to_json()]})
    done = subprocess.run(
        [sys.executable, "-m", "balto", "tune", *arguments],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    for word in words:
        assert word in done.stderr

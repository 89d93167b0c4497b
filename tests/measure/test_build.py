"""Building and timing are two steps, which may happen in two processes."""

from __future__ import annotations

import io
import tarfile
from dataclasses import replace

import pytest

from balto.data.target import Target
from balto.errors import InputError, MeasurerError
from balto.measure.build import Artifact
from balto.measure.live import LiveMeasurer
from balto.measure.settings import MeasureSettings
from balto.measure.timing import TimingSettings
from balto.workers.worker import Worker
from tests.measure.programs import candidate

pytest.importorskip("tvm")

CALLS = "tests.measure.steps:"


@pytest.fixture(scope="module")
def artifact() -> Artifact:
    """A program that one process built and exported."""
    with Worker() as builder:
        made: Artifact = builder.call(CALLS + "build_and_export", candidate("sound"), deadline_s=60)
    return made


def test_an_exported_artifact_says_what_it_takes(artifact: Artifact) -> None:
    assert artifact.library
    assert artifact.arguments == (((1024,), "float32"),) * 2
    assert artifact.target == candidate("sound").task.target


def test_another_process_times_it_and_gets_the_same_numbers(artifact: Artifact) -> None:
    with Worker() as other:
        timing = other.call(CALLS + "time_exported", artifact, deadline_s=60)
        assert 0 < timing.latency_s < 1e-2
        assert other.call(CALLS + "adds_one", artifact, deadline_s=60)


def test_a_process_builds_a_program_once() -> None:
    with Worker() as worker:
        assert worker.call(CALLS + "built_once", candidate("sound"), deadline_s=60)


def test_one_process_builds_and_times_without_exporting() -> None:
    with Worker() as worker:
        exported, timing = worker.call(CALLS + "build_and_time", candidate("sound"), deadline_s=60)
    assert not exported
    assert 0 < timing.latency_s < 1e-2


@pytest.mark.parametrize(
    ("triple", "mcpu", "machine"),
    [
        ("aarch64-linux-gnu", "cortex-a72", 183),
        ("armv7l-linux-gnueabihf", "cortex-a7", 40),
        ("riscv64-linux-gnu", "", 243),
    ],
)
def test_a_program_for_another_machine_is_built_here(triple: str, mcpu: str, machine: int) -> None:
    target = Target.from_dict({"kind": "llvm", "mtriple": triple, "mcpu": mcpu})
    sound = candidate("sound")
    there = replace(sound, task=replace(sound.task, target=target))
    with Worker() as worker:
        artifact = worker.call(CALLS + "build_and_export", there, deadline_s=60)
    with tarfile.open(fileobj=io.BytesIO(artifact.library)) as library:
        objects = [library.extractfile(each).read() for each in library.getmembers()]  # type: ignore[union-attr]
    assert machine in {int.from_bytes(each[18:20], "little") for each in objects}


def test_an_artifact_in_memory_cannot_be_sent() -> None:
    with Worker() as worker:
        said = worker.call(CALLS + "pickle_in_memory", candidate("sound"), deadline_s=60)
    assert "export() it first" in said


@pytest.mark.slow
def test_a_device_that_is_not_here_is_a_clear_stop_not_a_row_of_failures() -> None:
    with Worker() as worker:
        if worker.call("tests.workers.calls:cuda_target", deadline_s=60):
            target = Target("opencl")
        else:
            target = Target.parse('{"kind": "cuda", "arch": "sm_80"}')
    sound = candidate("sound")
    program = replace(sound, task=replace(sound.task, target=target))
    with (
        LiveMeasurer.for_target(target, MeasureSettings(workers=1)) as measurer,
        pytest.raises(MeasurerError, match="this machine has no"),
    ):
        list(measurer.measure([program]))


@pytest.mark.parametrize(
    "wrong",
    [
        {"workers": -1},
        {"memory_bytes": -1},
        {"build_timeout_s": 0.0},
        {"run_timeout_s": float("nan")},
        {"clock_factor": 0.5},
        {"recycle_bytes": 0},
    ],
)
def test_measure_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        MeasureSettings(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_repeats": 0},
        {"max_repeats": 1},
        {"precision": 0.0},
        {"min_repeat_s": -1.0},
        {"slow": 0.5},
        {"patience_s": -0.1},
    ],
)
def test_timing_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        TimingSettings(**wrong)  # type: ignore[arg-type]

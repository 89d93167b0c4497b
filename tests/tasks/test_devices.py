"""A target that cannot be is refused when tasks are listed, in one line that says what could be."""

from __future__ import annotations

import pytest

from balto.data.target import Target
from balto.errors import InputError
from balto.tasks import extract_tasks
from balto.workers.worker import Worker

pytest.importorskip("tvm")


@pytest.fixture(scope="module")
def worker():
    """One warm worker for all tests here."""
    with Worker() as warm:
        yield warm


def listed(spec: str, worker: Worker) -> Target:
    tasks = extract_tasks(
        operator_specs=["matmul:8x8x8"], target=Target.parse(spec), device="a", worker=worker
    )
    return tasks.tasks[0].target


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ('{"kind": "llvm", "mcpu": "znver33"}', "did you mean znver3"),
        ('{"kind": "llvm", "mcpu": "cortex-a72"}', "knows no processor 'cortex-a72' for"),
        ('{"kind": "llvm", "mtriple": "garbage"}', "mtriple 'garbage'.*aarch64-linux-gnu"),
        ('{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "znver3"}', "znver3.*aarch64"),
        ('{"kind": "llvm", "mattr": ["+nonsense"]}', "knows no feature 'nonsense' of processors"),
        ('{"kind": "llvm", "mattr": ["avx2"]}', "features with . or -, such as"),
        ('{"kind": "llvm", "mattr": 3}', "features with . or -, such as"),
        ('{"kind": "llvm", "vectors": 8}', "TVM refuses the target.*vectors"),
        ('{"kind": "cuda", "arch": "best"}', "TVM refuses the target.*best"),
        ('{"kind": "cuda", "arch": "sm_80", "host": {"kind": "llvm", "mcpu": "i9"}}', "'i9'"),
        ('{"kind": "opencl"}', "no OPENCL device"),
        ('{"kind": "abacus"}', "TVM refuses the target"),
    ],
)
def test_a_target_that_cannot_be(spec: str, words: str, worker: Worker) -> None:
    with pytest.raises(InputError, match=words) as caught:
        listed(spec, worker)
    assert "\n" not in str(caught.value)
    assert "InputError" not in str(caught.value)


@pytest.mark.parametrize(
    "spec",
    [
        '{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72", "num-cores": 4}',
        '{"kind": "llvm", "mtriple": "riscv64-linux-gnu", "num-cores": 1}',
        '{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mattr": ["+dotprod"], "num-cores": 1}',
        '{"kind": "cuda", "arch": "sm_80"}',
        '{"kind": "opencl", "host": {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}}',
    ],
)
def test_a_target_of_a_device_elsewhere_is_taken_as_it_is(spec: str, worker: Worker) -> None:
    assert listed(spec, worker) == Target.parse(spec)


@pytest.mark.slow
def test_what_a_bare_target_leaves_open_is_asked_of_this_machine(worker: Worker) -> None:
    target = listed("llvm", worker)
    assert target.cores == 1
    assert target.mcpu
    assert listed(target.to_json(), worker) == target

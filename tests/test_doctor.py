"""The doctor looks at the real machine, and knows which versions crash."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from balto import doctor
from balto.cli import cli


@pytest.fixture(scope="module")
def checks():
    """What it finds here."""
    return {check.name: check for check in doctor.examine()}


def test_this_machine_can_run_live_campaigns(checks):
    assert all(check.ok for check in checks.values())
    assert json.loads(checks["target llvm"].value)["kind"] == "llvm"
    assert checks["apache-tvm-ffi"].value == doctor.PINNED["apache-tvm-ffi"]
    for name in ("cores", "load", "timer", "noise", "processor"):
        assert checks[name].value


def test_another_version_of_tvm_is_bad_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(doctor.PINNED, "apache-tvm-ffi", "0.0.1")
    bad = next(c for c in doctor._versions() if c.name == "apache-tvm-ffi")
    assert not bad.ok
    assert "pip install apache-tvm-ffi==0.0.1" in bad.advice
    monkeypatch.setattr(doctor, "examine", doctor._versions)
    result = CliRunner().invoke(cli, ["doctor", "-f", "json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["healthy"] is False


@pytest.mark.parametrize(
    ("mode", "advice"), [("nvrtc", "pip install cuda-bindings"), ("nvcc", "put nvcc on the PATH")]
)
def test_a_missing_cuda_compiler_is_named_with_what_to_do(
    monkeypatch: pytest.MonkeyPatch, mode: str, advice: str
) -> None:
    monkeypatch.setenv("TVM_CUDA_COMPILE_MODE", mode)
    monkeypatch.setattr(doctor, "version_of", lambda _: None)
    monkeypatch.setenv("PATH", "")
    check = doctor._cuda_compiler()
    assert check.mark == "note", "campaigns on the processor need none"
    assert check.value == f"{mode}, which is not installed"
    assert advice in check.advice

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

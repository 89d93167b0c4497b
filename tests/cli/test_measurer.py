"""What the command line says about target and devices reaches the measurer."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest
from click.testing import CliRunner

from balto.cli import cli
from balto.data.target import Target
from balto.errors import MeasurerError
from balto.measure.live import LiveMeasurer
from balto.measure.remote import Tracker
from balto.measure.rpc import RpcMeasurer


def asked_for(kind: type, monkeypatch: pytest.MonkeyPatch, *options: str) -> tuple[Target, Any]:
    """The target and the settings with which `balto pretrain` asks for a measurer."""
    asked: list[tuple[Target, Any]] = []

    def refuse(target: Target, settings: Any, executor: object) -> NoReturn:
        assert executor is None
        asked.append((target, settings))
        raise MeasurerError("there is none today")

    monkeypatch.setattr(kind, "for_target", refuse)
    command = ["pretrain", "work", "--operator", "matmul:64x64x64", *options]
    with pytest.raises(MeasurerError, match="there is none today"):
        CliRunner().invoke(cli, command, catch_exceptions=False)
    [found] = asked
    return found


def test_the_target_and_the_workers_reach_the_live_measurer(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = ("--target", '{"kind": "llvm", "num-cores": 2}', "--workers", "3")
    target, settings = asked_for(LiveMeasurer, monkeypatch, *options)
    assert target == Target("llvm", cores=2)
    assert settings.workers == 3


def test_the_tracker_the_target_and_the_workers_reach_the_rpc_measurer(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    options = ("--target", '{"kind": "llvm", "mcpu": "cortex-a72"}', "--workers", "3")
    fleet = ("--rpc", "127.0.0.1:9190/pi", "--leave-out-device", "10.0.0.7:9090")
    target, settings = asked_for(RpcMeasurer, monkeypatch, *options, *fleet)
    assert target == Target("llvm", mcpu="cortex-a72")
    assert settings.tracker == Tracker("127.0.0.1", 9190, "pi")
    assert settings.measure.workers == 3
    assert settings.leave_out == {"10.0.0.7:9090"}

"""What the command line says about target and devices reaches the measurer."""

from __future__ import annotations

import os

import pytest

from balto.cli.pretrain import _measurer
from balto.data.target import Target

pytest.importorskip("tvm")


def test_the_target_and_the_workers_reach_the_live_measurer():
    cores = min(2, len(os.sched_getaffinity(0)))
    with _measurer(Target("llvm", cores=cores), "", (), 1, None) as measurer:
        [worker] = measurer._workers
        assert worker._env["TVM_NUM_THREADS"] == str(cores)
        assert worker._preload == [("balto.measure.local:prepare", Target("llvm", cores=cores))]


def test_the_tracker_the_target_and_the_workers_reach_the_rpc_measurer():
    target = Target("llvm", mcpu="cortex-a72")
    with _measurer(target, "127.0.0.1:9190/pi", (), 3, None) as measurer:
        assert len(measurer.pids()) == 3
        assert measurer.settings.tracker.key == "pi"
        assert measurer._workers[0]._preload == [("balto.workers.tvm_setup:import_tvm", target)]

"""What a tuning refuses before it searches, and what it takes for a wrong program."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

import balto
from balto.errors import ConfigurationChanged, InputError, WorkerDied, WorkerRaised
from balto.journal.file import Journal
from balto.search.task import SearchSettings
from balto.tune import folder
from balto.workers.calls import call_about
from balto.workers.worker import Worker

BOARD = '{"kind": "llvm", "mtriple": "aarch64-linux-gnu", "mcpu": "cortex-a72"}'


def test_another_search_needs_another_folder(tmp_path: Path) -> None:
    usual = {"trials": 4, **folder.unusual(SearchSettings(), "live")}
    assert usual == {"trials": 4}, "folders of before say no more"
    with folder.opened(tmp_path, usual, []) as (journal, records):
        assert isinstance(journal, Journal)
        assert not records
    for other in (
        folder.unusual(SearchSettings(batch=4), "live"),
        folder.unusual(SearchSettings(), "rpc:127.0.0.1:9190/pi"),
    ):
        with (
            pytest.raises(ConfigurationChanged, match="give another folder"),
            folder.opened(tmp_path, {**usual, **other}, []),
        ):
            pass


@pytest.mark.slow
def test_a_board_whose_programs_cannot_be_checked_here_is_refused() -> None:
    pytest.importorskip("tvm")
    [task] = balto.extract_tasks([], ["matmul:8x8x8"], BOARD, device="a board").tasks
    [own] = balto.extract_tasks([], ["matmul:8x8x8"]).tasks
    with Worker() as worker:
        folder.require_runs_here(own, "rpc:127.0.0.1:9190/pi", worker)
        with pytest.raises(InputError, match="cannot be checked on this machine"):
            folder.require_runs_here(task, "rpc:127.0.0.1:9190/pi", worker)


class Ends(Worker):
    """Every call ends in one way."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def call_with_retries(self, function: str, *args: Any, deadline_s: float) -> Any:  # noqa: ARG002
        raise self.error


def test_a_process_that_was_killed_from_outside_says_nothing_of_a_network() -> None:
    """It would pass for a wrong program, and cost a task its best one."""
    died = WorkerDied("the worker was killed")
    died.signal = signal.SIGKILL
    with pytest.raises(WorkerDied):
        call_about("net.onnx", Ends(died), "module:compile", deadline_s=9)
    died.signal = signal.SIGSEGV
    with pytest.raises(InputError, match=r"TVM did not survive net\.onnx"):
        call_about("net.onnx", Ends(died), "module:compile", deadline_s=9)
    with pytest.raises(InputError, match=r"TVM refuses net\.onnx"):
        call_about("net.onnx", Ends(WorkerRaised("ValueError: no")), "module:compile", deadline_s=9)

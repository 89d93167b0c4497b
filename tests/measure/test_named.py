"""Measurers by name: for the campaign's or the tuning's target, and closed when it is done."""

from __future__ import annotations

import pytest

import balto
from balto.data.target import Target
from balto.errors import InputError
from balto.measure.live import LiveMeasurer
from balto.measure.named import opened
from balto.measure.rpc import RpcMeasurer

CORTEX = Target("llvm", mcpu="cortex-a72")


def test_a_name_is_a_measurer_of_the_target_and_is_closed():
    with opened("live", Target("llvm")) as live:
        assert isinstance(live, LiveMeasurer)
        assert live.target == Target("llvm")
        assert live.pids()
    assert not live.pids()
    with opened("rpc:127.0.0.1:9190/pi", CORTEX) as remote:
        assert isinstance(remote, RpcMeasurer)
        assert remote.settings.tracker.key == "pi"


def test_an_object_is_its_makers_to_close(pool):
    class Own(balto.ReplayMeasurer):
        closed = False

        def close(self):
            self.closed = True

    own = Own(pool)
    with opened(own, CORTEX) as measurer:
        assert measurer is own
    assert not own.closed


@pytest.mark.parametrize("given", [None, 3, "", "life", "live:2", LiveMeasurer], ids=str)
def test_what_is_no_measurer(tmp_path, given):
    with (
        pytest.raises(InputError, match=r"\Aexpected a measurer: .* a name \(live, .*\Z"),
        balto.Campaign(tmp_path / "w", balto.Config(operators="matmul:8x8x8")) as campaign,
    ):
        campaign.run(given)


def test_a_tracker_is_written_as_for_the_command_line():
    with pytest.raises(InputError, match="HOST:PORT/KEY"), opened("rpc:pi", CORTEX):
        pass
    everywhere = opened("rpc:127.0.0.1:9190/pi", Target("llvm"))
    with pytest.raises(InputError, match="does not say what the devices are"), everywhere:
        pass

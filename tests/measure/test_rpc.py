"""Measuring over TVM's own tracker and servers, real ones on the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from balto.data.outcome import Outcome, Status
from balto.data.target import Target
from balto.errors import InputError, MeasurerError, NoDevice
from balto.measure.measurer import Measurer
from balto.measure.remote import Tracker
from balto.measure.rpc import RpcMeasurer, RpcSettings
from balto.measure.settings import MeasureSettings
from balto.workers.worker import Worker
from tests.measure.programs import TARGET, candidate
from tests.measure.test_contract import RealPrograms

pytest.importorskip("tvm")
pytest.importorskip("tornado")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(module: object, *options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, [module, *options]), "--host", "127.0.0.1", "--silent"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


class Fleet:
    """A tracker and its servers."""

    def __init__(self, servers: int) -> None:
        self.port = free_port()
        self.tracker = start(
            "tvm.exec.rpc_tracker", "--port", self.port, "--port-end", self.port + 1
        )
        self.servers = [self.server() for _ in range(servers)]

    def server(self, *module: object) -> subprocess.Popen[bytes]:
        port = free_port()
        module = module or ("balto.measure.rpc_server",)
        return start(
            *module,
            *("--tracker", f"127.0.0.1:{self.port}", "--key", "test"),
            *("--port", port, "--port-end", port + 1),
        )

    def liar(self, says: float) -> subprocess.Popen[bytes]:
        """A server that runs programs, and says that each took so many seconds."""
        return self.server("tests.measure.lying_server", says)

    def settings(self, grace_s: float = 30.0) -> RpcSettings:
        return RpcSettings(
            tracker=Tracker("127.0.0.1", self.port, "test"),
            measure=MeasureSettings(workers=2, build_timeout_s=30.0, run_timeout_s=2.0),
            upload_timeout_s=3.0,
            wait_s=45.0,
            grace_s=grace_s,
        )

    def end(self) -> None:
        for process in (*self.servers, self.tracker):
            if process.poll() is None:
                self.stop(process)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    made = Fleet(servers=2)
    yield made
    made.end()


@pytest.mark.slow
def test_bad_programs_cost_themselves_alone(fleet: Fleet) -> None:
    kinds = ["sound", "segfault", "sound", "endless", "raises", "slower"]
    with RpcMeasurer(TARGET, fleet.settings()) as measurer:
        outcomes = dict(measurer.measure([candidate(kind) for kind in kinds]))
    found = [outcomes[i].status for i in range(len(kinds))]
    assert found == [
        Status.OK,
        Status.CRASH,
        Status.OK,
        Status.RUN_TIMEOUT,
        Status.RUN_ERROR,
        Status.OK,
    ]
    assert outcomes[5].latency_s > 20 * outcomes[0].latency_s
    assert outcomes[0].build_s > 0


@pytest.mark.slow
def test_a_device_is_named_probed_and_left_out(fleet: Fleet) -> None:
    programs = [candidate("sound", i) for i in range(8)]
    with RpcMeasurer(TARGET, fleet.settings()) as measurer:
        outcomes = [outcome for _, outcome in measurer.measure(programs)]
    probed = [each.device for each in outcomes if each.probe_s > 0]
    names = {each.device for each in outcomes}
    assert set(probed) == names, "each device, by each worker before its first program there"
    assert len(probed) < len(outcomes)
    assert all(each.startswith("127.0.0.1:") for each in names)

    left_out = sorted(names)[0]
    settings = replace(fleet.settings(), leave_out=frozenset({left_out}))
    with RpcMeasurer(TARGET, settings) as measurer:
        outcomes = [outcome for _, outcome in measurer.measure(programs)]
    assert len(outcomes) == 8
    assert left_out not in {each.device for each in outcomes}

    with Worker() as worker:
        everyone = worker.call("balto.measure.remote:devices", settings.tracker, deadline_s=60)
    assert len(everyone) == 2
    nobody = replace(fleet.settings(grace_s=0.5), leave_out=frozenset(everyone))
    with (
        RpcMeasurer(TARGET, nobody) as measurer,
        pytest.raises(MeasurerError, match="but for 2 left out"),
    ):
        list(measurer.measure(programs))


@pytest.mark.slow
@pytest.mark.parametrize("says", [-1.0, 1e-30])
def test_a_device_whose_clock_lies_costs_three_programs_and_is_left_out_by_name(
    says: float,
) -> None:
    fleet = Fleet(servers=1)
    fleet.servers.append(fleet.liar(says))
    programs = [candidate("sound", i) for i in range(8)]
    try:
        with RpcMeasurer(TARGET, fleet.settings()) as measurer:
            outcomes: list[Outcome] = []
            while not any(each.message.endswith("is left out from now on") for each in outcomes):
                outcomes += [outcome for _, outcome in measurer.measure(programs)]
                assert len(outcomes) < 20 * len(programs)
            outcomes += [outcome for _, outcome in measurer.measure(programs)]
        failed = [each for each in outcomes if not each.ok]
        assert 3 <= len(failed) <= 5, "what was on its way to it when it was left out"
        assert {each.status for each in failed} == {Status.RUN_ERROR}
        [liar] = {each.device for each in failed}
        assert all(f"the device {liar} gave " in each.message for each in failed)
        assert all(1e-9 < each.latency_s < 1 for each in outcomes if each.ok)
        fleet.stop(fleet.servers[0])
        with (
            RpcMeasurer(TARGET, fleet.settings(grace_s=0.5)) as measurer,
            pytest.raises(NoDevice, match=f"latencies that cannot be came from {liar}"),
        ):
            list(measurer.measure(programs))
    finally:
        fleet.end()


@pytest.mark.slow
class TestRpc(RealPrograms):
    """RPC measuring keeps the laws of every `Measurer`."""

    @pytest.fixture(autouse=True)
    def on_a_fleet(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def make(self) -> Measurer:
        return RpcMeasurer(TARGET, self.fleet.settings())

    def devices(self) -> list[int]:
        return [process.pid for process in (self.fleet.tracker, *self.fleet.servers)]


@pytest.mark.slow
def test_a_server_that_dies_costs_a_retry_and_none_left_is_a_clear_stop(fleet: Fleet) -> None:
    programs = [candidate("sound", i) for i in range(12)]
    with RpcMeasurer(TARGET, fleet.settings()) as measurer:
        outcomes = {}
        for index, outcome in measurer.measure(programs):
            outcomes[index] = outcome
            if len(outcomes) == 2:
                fleet.stop(fleet.servers[0])
        assert len(outcomes) == 12
        assert all(outcome.ok for outcome in outcomes.values())

    fleet.stop(fleet.servers[1])
    with (
        RpcMeasurer(TARGET, fleet.settings(grace_s=1.0)) as measurer,
        pytest.raises(MeasurerError, match="no device with the key test"),
    ):
        list(measurer.measure(programs))

    fleet.servers.append(fleet.server())  # and it goes on when one is back
    with RpcMeasurer(TARGET, fleet.settings()) as measurer:
        assert all(outcome.ok for _, outcome in measurer.measure(programs[:2]))


@pytest.mark.slow
def test_no_tracker_is_a_clear_stop() -> None:
    settings = RpcSettings(tracker=Tracker("127.0.0.1", free_port(), "test"), grace_s=0.5)
    with (
        RpcMeasurer(TARGET, settings) as measurer,
        pytest.raises(MeasurerError, match="does not answer"),
    ):
        list(measurer.measure([candidate("sound")]))


def test_addresses() -> None:
    assert Tracker.parse("127.0.0.1:9190/pi4") == Tracker("127.0.0.1", 9190, "pi4")
    for wrong in ("", "host", "host:9190", "host/key", ":1/k", "h:0/k", "h:99999/k", "h:x/k"):
        with pytest.raises(InputError, match="HOST:PORT/KEY"):
            Tracker.parse(wrong)


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        ('{"kind": "llvm"}', '"mcpu" or "mtriple"'),
        ('{"kind": "llvm", "num-cores": 4}', "cortex-a72"),
        ('{"kind": "cuda"}', '"arch"'),
    ],
)
def test_a_target_that_would_be_this_machine_is_refused_in_one_line(
    target: str, wanted: str
) -> None:
    settings = RpcSettings(tracker=Tracker("127.0.0.1", 9190, "pi"))
    with pytest.raises(InputError, match="does not say what the devices are") as caught:
        RpcMeasurer.for_target(Target.parse(target), settings)
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "target",
    [
        '{"kind": "llvm", "mcpu": "cortex-a72"}',
        '{"kind": "llvm", "mtriple": "aarch64-linux-gnu"}',
        '{"kind": "cuda", "arch": "sm_80"}',
        '{"kind": "opencl", "host": {"kind": "llvm", "mtriple": "aarch64-linux-gnu"}}',
    ],
)
def test_a_target_that_says_what_the_devices_are_is_taken(target: str) -> None:
    settings = RpcSettings(tracker=Tracker("127.0.0.1", 9190, "pi"))
    RpcMeasurer.for_target(Target.parse(target), settings).close()


def test_settings_that_cannot_be_are_refused() -> None:
    tracker = Tracker("127.0.0.1", 9190, "pi")
    for wrong in ({"tries": 0}, {"wait_s": -1.0}, {"grace_s": float("nan")}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            RpcSettings(tracker=tracker, **wrong)

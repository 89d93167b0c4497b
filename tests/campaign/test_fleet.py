"""Which device drifts: told from probes, and never from the programs that a device happened on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from balto.campaign.fleet import DRIFT, Fleet
from balto.data.outcome import Outcome, Status


def fleet_of(probes: dict[str, list[float]]) -> Fleet:
    fleet = Fleet()
    for device, seconds in probes.items():
        for k, each in enumerate(seconds):
            outcome = Outcome(Status.OK, 1e-3, 1e-3, 0.1, 0.5, 3, 0.02, "", device, each)
            fleet.add(outcome, 1000.0 + k)
    return fleet


@given(
    noise=st.floats(0.0, 0.02),
    factor=st.one_of(st.floats(1.3, 10), st.floats(0.1, 0.7)),
    seed=st.integers(0, 99),
)
def test_the_one_that_changes_among_several_is_named_and_no_other(noise, factor, seed):
    rng = np.random.default_rng(seed)
    probes = {f"d{i}": list(0.01 * rng.uniform(1 - noise, 1 + noise, 12)) for i in range(4)}
    assert not fleet_of(probes).drifts()
    probes["d2"][6:] = [factor * s for s in probes["d2"][6:]]
    (drift,) = fleet_of(probes).drifts()
    assert drift.device == "d2"
    assert drift.ratio == pytest.approx(factor, rel=3 * noise + 1e-6)
    assert "d2 is" in str(drift)
    assert "--leave-out-device d2" in str(drift)


def test_of_two_the_one_that_changed_is_named():
    drifts = fleet_of({"a": [0.01] * 12, "b": [0.01] * 6 + [0.02] * 6}).drifts()
    assert [drift.device for drift in drifts] == ["b"]


def test_one_alone_is_held_against_itself():
    assert not fleet_of({"a": [0.01] * 12}).drifts()
    (drift,) = fleet_of({"a": [0.01] * 6 + [0.013] * 6}).drifts()
    assert str(drift).startswith("a is 1.30 times slower than it was")


def test_a_device_whose_probes_scatter_is_not_said_to_drift():
    scattered = [0.010, 0.016, 0.009, 0.015, 0.011, 0.017, 0.0095, 0.012]
    assert not fleet_of({"a": [0.01] * 8, "b": [0.01] * 8, "c": scattered}).drifts()
    assert DRIFT > 1


def test_the_tally_of_a_device():
    fleet = fleet_of({"a": [0.01, math.nan, math.nan]})
    fleet.add(Outcome(Status.RUN_ERROR, build_s=0.1, device="a"), 2000.0)
    (row,) = fleet.to_dict()
    assert (row["device"], row["programs"], row["failed"], row["busy_s"]) == ("a", 4, 1, 1.5)
    assert row["noise"] == pytest.approx(0.02)
    assert row["probe_s"] == 0.01
    assert row["drift"] is None

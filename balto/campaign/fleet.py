"""What the devices of a fleet did: how many programs each timed, how steady it is, who drifts.

Every device times the same probes again and again (`balto.measure.probes`). A device drifts if
its last probes took longer or shorter than its fellows' last ones, or than its own first ones
where it has no fellow, by more than `DRIFT` and by more than the probes scatter.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.data.outcome import Outcome
from balto.data.outcomes import Outcomes

Floats = NDArray[np.float64]

#: How far from its fellows a device may be, as a ratio.
DRIFT = 1.10
#: So many probes of a device are looked at, the first ones and the last ones.
PROBES = 5
#: A drift is more than so many times what the probes scatter.
_SIGNIFICANT = 3.0


@dataclass
class Device:
    """One device's tally.

    Attributes:
        programs: how many it timed, failures included.
        failed: how many of them failed.
        busy_s: seconds of uploading and timing.
        first: when it gave its first outcome, seconds since 1970; NaN if not known.
        last: when it gave its last one.
        spread_sum: sum of the relative spreads of its programs' repeats.
        spreads: of how many programs.
        first_probes: seconds of its first probes.
        last_probes: of its last ones.
    """

    programs: int = 0
    failed: int = 0
    busy_s: float = 0.0
    first: float = math.nan
    last: float = math.nan
    spread_sum: float = 0.0
    spreads: int = 0
    first_probes: list[float] = field(default_factory=list)
    last_probes: deque[float] = field(default_factory=lambda: deque(maxlen=PROBES))

    @property
    def rate(self) -> float:
        """Programs a second of those that it was busy; NaN if it never was."""
        return self.programs / self.busy_s if self.busy_s else math.nan

    @property
    def noise(self) -> float:
        """Mean relative spread of the repeats of its programs; NaN if not known."""
        return self.spread_sum / self.spreads if self.spreads else math.nan

    @property
    def probe_s(self) -> float:
        """Median of its last probes, seconds; NaN if it has none."""
        return float(np.median(self.last_probes)) if self.last_probes else math.nan

    @property
    def scatter(self) -> float:
        """How far its last probes lie apart, relative to their median."""
        if len(self.last_probes) < 2:
            return 0.0
        low, high = np.quantile(self.last_probes, [0.25, 0.75])
        return float(high - low) / self.probe_s


@dataclass(frozen=True)
class Drift:
    """A device that differs.

    Attributes:
        device: its name.
        ratio: its probes' seconds over what they should be.
        against: what that is, in words.
    """

    device: str
    ratio: float
    against: str

    def __str__(self) -> str:
        slower = (
            f"{self.ratio:.2f} times slower"
            if self.ratio > 1
            else (f"{1 / self.ratio:.2f} times faster")
        )
        return (
            f"{self.device} is {slower} than {self.against}; "
            f"--leave-out-device {self.device} goes on without it"
        )


class Fleet:
    """The devices, by name."""

    def __init__(self) -> None:
        self.devices: dict[str, Device] = {}

    def add(self, outcome: Outcome, at: float) -> None:
        """Count an outcome of a device.

        Args:
            outcome: that names one.
            at: when it was journalled, seconds since 1970; NaN if not known.
        """
        device = self.devices.setdefault(outcome.device, Device())
        device.programs += 1
        device.failed += not outcome.ok
        device.busy_s += outcome.measure_s if math.isfinite(outcome.measure_s) else 0.0
        device.first = at if math.isnan(device.first) else device.first
        device.last = at
        if math.isfinite(outcome.spread):
            device.spread_sum += outcome.spread
            device.spreads += 1
        if math.isfinite(outcome.probe_s):
            device.last_probes.append(outcome.probe_s)
            if len(device.first_probes) < PROBES:
                device.first_probes.append(outcome.probe_s)

    def add_many(self, name: str, outcomes: Outcomes, at: Floats, probe_s: Floats) -> None:
        """Count outcomes of one device, as if they came one by one.

        Args:
            name: of the device.
            outcomes: `n`, in order.
            at: `n`, when each was journalled, seconds since 1970; NaN if not known.
            probe_s: `n`, NaN where it was not timed.
        """
        device = self.devices.setdefault(name, Device())
        device.programs += len(outcomes)
        device.failed += int((~outcomes.ok).sum())
        device.busy_s = _added(device.busy_s, outcomes.numbers["measure_s"])
        known = at[~np.isnan(at)]
        if math.isnan(device.first) and len(known):
            device.first = float(known[0])
        device.last = float(at[-1])
        spread = outcomes.numbers["spread"]
        device.spread_sum = _added(device.spread_sum, spread)
        device.spreads += int(np.isfinite(spread).sum())
        probes = probe_s[np.isfinite(probe_s)].tolist()
        device.last_probes.extend(probes[-PROBES:])
        device.first_probes += probes[: PROBES - len(device.first_probes)]

    def drifts(self) -> list[Drift]:
        """The devices that differ from their fellows, the furthest first.

        Returns:
            One a device.
        """
        probed = {name: d for name, d in self.devices.items() if d.last_probes}
        found = []
        for name, device in probed.items():
            fellows = [d.probe_s for other, d in probed.items() if other != name]
            first = float(np.median(device.first_probes))
            usual = float(np.median(fellows)) if fellows else first
            against = "its fellows" if fellows else "it was"
            ratio = device.probe_s / usual
            far = abs(math.log(ratio))
            if far > max(math.log(DRIFT), _SIGNIFICANT * device.scatter):
                found.append(Drift(name, ratio, against))
        if len(probed) == 2:  # of two, nobody knows which: the one that changed more, if one did
            found = sorted(found, key=lambda drift: -_changed(probed[drift.device]))[:1]
        return sorted(found, key=lambda drift: -abs(math.log(drift.ratio)))

    def to_dict(self) -> list[dict[str, Any]]:
        """For JSON: a row a device.

        Returns:
            The rows.
        """
        drifting = {drift.device: drift.ratio for drift in self.drifts()}
        return [
            {
                "device": name,
                "programs": each.programs,
                "failed": each.failed,
                "busy_s": each.busy_s,
                "programs_per_busy_s": each.rate,
                "noise": each.noise,
                "probe_s": each.probe_s,
                "drift": drifting.get(name),
            }
            for name, each in sorted(self.devices.items())
        ]


def _added(total: float, values: Floats) -> float:
    """A total with the finite values added one after the other, as if they came one by one."""
    finite = values[np.isfinite(values)]
    return float(np.cumsum(np.concatenate([[total], finite]))[-1])


def _changed(device: Device) -> float:
    return abs(math.log(device.probe_s / float(np.median(device.first_probes))))

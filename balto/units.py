"""Numbers with their units, for people."""

from __future__ import annotations

import math


def seconds(value: float) -> str:
    """Seconds: ``36.8 ns``, ``12.3 ms``, ``3 min 20 s``, ``2 h 05 min``; ``-`` if NaN."""
    if not math.isfinite(value):
        return "-"
    units = ((1e-6, "ns", 1e9), (1e-3, "us", 1e6), (1.0, "ms", 1e3), (60.0, "s", 1.0))
    for limit, unit, scale in units:
        if value < limit:
            return f"{value * scale:.3g} {unit}"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"


def percent(value: float) -> str:
    """A share, one decimal; ``-`` if NaN."""
    return f"{value:.1%}" if math.isfinite(value) else "-"


def points(value: float, error: float) -> str:
    """A difference of two shares and its error in percentage points: ``+0.8 ± 0.2``."""
    return f"{100 * value:+.1f} ± {100 * error:.1f}"


def number(value: float) -> str:
    """A number with thousands separators, one decimal; ``-`` if NaN."""
    return f"{value:,.1f}" if math.isfinite(value) else "-"


def flop(value: float) -> str:
    """Floating-point operations: ``524 kFLOP``, ``8.21 GFLOP``; ``-`` if NaN."""
    if not math.isfinite(value):
        return "-"
    for limit, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}FLOP"
    return f"{value / 1e3:.3g} kFLOP"

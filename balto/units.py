"""Numbers with their units, for people."""

from __future__ import annotations

import math


def seconds(value: float) -> str:
    """Seconds: ``12.3 ms``, ``4.56 s``, ``3 min 20 s``, ``2 h 05 min``; ``-`` if NaN."""
    if not math.isfinite(value):
        return "-"
    for limit, unit, scale in ((1e-3, "us", 1e6), (1.0, "ms", 1e3), (60.0, "s", 1.0)):
        if value < limit:
            return f"{value * scale:.3g} {unit}"
    if value < 3600:
        return f"{int(value // 60)} min {int(value % 60):02d} s"
    return f"{int(value // 3600)} h {int(value % 3600 // 60):02d} min"


def percent(value: float) -> str:
    """A share, one decimal; ``-`` if NaN."""
    return f"{value:.1%}" if math.isfinite(value) else "-"


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

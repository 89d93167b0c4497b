"""Numbers: with their units, for people, and checked against their range."""

from __future__ import annotations

import math

from balto.errors import InputError


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


def check_number(
    name: str, value: object, low: float, high: float = math.inf, *, whole: bool = False
) -> None:
    """Refuse what is no number from `low` to `high`.

    Raises:
        InputError: with the name, the range and the value.
    """
    kinds = (int,) if whole else (int, float)
    if isinstance(value, kinds) and not isinstance(value, bool) and low <= value <= high:
        return
    what = "a whole number" if whole else "a number"
    limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
    raise InputError(f"expected {name} to be {what} {limit}, got {str(value)[:40]}")


def check_share(
    name: str, value: object, *, open_low: bool = False, open_high: bool = False
) -> None:
    """Refuse what is no share: a number from 0 to 1, either end of which may be left out.

    Raises:
        InputError: with the name, the range and the value.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        above = value > 0 if open_low else value >= 0
        if above and (value < 1 if open_high else value <= 1):
            return
    low, high = ("above 0" if open_low else "0"), ("under 1" if open_high else "1")
    raise InputError(
        f"expected the {name} to be a share from {low} to {high}, got {str(value)[:40]}"
    )

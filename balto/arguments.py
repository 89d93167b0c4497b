"""Checks of what is given to functions and settings: one line that says what was expected."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any, TypeVar

from balto.errors import InputError
from balto.text import quoted

T = TypeVar("T")


def check_number(
    name: str, value: object, low: float, high: float = math.inf, *, whole: bool = False
) -> Any:
    """Refuse what is no number from `low` to `high`; returns it as Python's own, not NumPy's.

    Raises:
        InputError: with the name, the range and the value.
    """
    own = type(value) is int or (type(value) is float and not whole)
    number: Any = value if own else _own(value, whole)
    if number is not None and low <= number <= high:
        return number
    what = "a whole number" if whole else "a number"
    limit = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
    raise InputError(f"expected {name} to be {what} {limit}, got {quoted(value)}")


def _own(value: object, whole: bool) -> float | None:
    """A number as Python's own; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, Integral if whole else Real):
        return None
    return int(value) if isinstance(value, Integral) else float(value)


def check_share(
    name: str, value: object, *, open_low: bool = False, open_high: bool = False
) -> Any:
    """Refuse what is no share: a number from 0 to 1, either end of which may be left out.

    Returns it as `check_number` does.

    Raises:
        InputError: with the name, the range and the value.
    """
    try:
        number = check_number(name, value, 0, 1)
    except InputError:
        number = math.nan
    above = number > 0 if open_low else number >= 0
    if above and (number < 1 if open_high else number <= 1):
        return number
    low, high = ("above 0" if open_low else "0"), ("under 1" if open_high else "1")
    raise InputError(f"expected the {name} to be a share from {low} to {high}, got {quoted(value)}")


def check_field(
    settings: object, name: str, low: float, high: float = math.inf, *, whole: bool = False
) -> None:
    """`check_number` of a frozen dataclass's field, which is then kept as Python's own number."""
    checked = check_number(name, getattr(settings, name), low, high, whole=whole)
    object.__setattr__(settings, name, checked)


def check_type(name: str, value: object, kind: type[T], advice: str) -> T:
    """Refuse what is of another type; returns it.

    Args:
        name: of the argument.
        value: what was given for it.
        kind: what it must be.
        advice: what to do about it.

    Raises:
        InputError: with the name, the type, the value and the advice.
    """
    if isinstance(value, kind):
        return value
    raise InputError(f"expected {name} to be a {kind.__name__}, got {quoted(value)}: {advice}")


def text(name: str, given: object) -> str:
    """A text or a path, as text.

    Raises:
        InputError: it is neither.
    """
    if isinstance(given, str | os.PathLike):
        return str(given)
    raise InputError(f"expected {name} to be text, such as a name, got {quoted(given)}")


def texts(name: str, given: object) -> tuple[str, ...]:
    """Several texts or paths, or a single one, as a tuple of texts.

    Raises:
        InputError: anything else.
    """
    if isinstance(given, str | os.PathLike) or not isinstance(given, Iterable):
        return (text(name, given),)
    return tuple(text(name, each) for each in given)

"""Checks of what is given to functions and settings: one line that says what was expected."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from typing import Any, TypeVar

from balto.errors import InputError
from balto.text import quoted

T = TypeVar("T")


#: Where more would be a slip of the hand: rounds of a campaign, seeds of a replay, trials of a
#: tuning; a seed is what NumPy's generators and the files take.
MOST_ROUNDS, MOST_SEEDS, MOST_TRIALS, LARGEST_SEED = 10_000, 10_000, 10_000_000, 2**63 - 1
#: Programs that a task may have, and programs under way at once, at most.
MOST_PROGRAMS, MOST_WORKERS = 10_000_000, 10_000
#: Minutes that a search may have, and seconds that the measurements of a campaign may.
LEAST_MINUTES, MOST_MINUTES = 0.01, 1e6
LEAST_SECONDS, MOST_SECONDS = 1.0, 1e8
_WHOLE = re.compile(r"[+-]?[0-9]{1,19}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]{1,3})?", re.IGNORECASE)


def whole_number(text: str) -> int:
    """A whole number as a person writes it; unlike `int`, without ``8_0`` and other digits.

    Raises:
        ValueError: If the text is not a sign and at most 19 digits.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a whole number")
    return int(text)


def decimal_number(text: str) -> float:
    """A number as a person writes it; unlike `float`, without ``8_0``, ``nan`` and ``inf``.

    Raises:
        ValueError: If the text is not a decimal number, with or without an exponent.
    """
    if not _NUMBER.fullmatch(text):
        raise ValueError(f"{quoted(text)} is not a number")
    return float(text)


def check_number(
    name: str, value: object, low: float, high: float = math.inf, *, whole: bool = False
) -> Any:
    """Refuse what is no number from `low` to `high`; returns it as Python's own, not NumPy's.

    Raises:
        InputError: If the value is not a number, or `whole` and not a whole one, or out of range.
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
        InputError: If the value is not a number from 0 to 1, or an end that is left out.
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
        InputError: If the value is not of that type.
    """
    if isinstance(value, kind):
        return value
    raise InputError(f"expected {name} to be a {kind.__name__}, got {quoted(value)}: {advice}")


def check_vector(name: str, value: object) -> None:
    """Refuse what has no length, such as a number, or an array of no dimension or of two.

    Raises:
        InputError: If the value is not an array of one dimension, or a sequence such as a list.
    """
    dimensions = getattr(value, "ndim", 1 if isinstance(value, Sequence) else 0)
    if dimensions != 1:
        raise InputError(f"expected {name} to be a vector, one value each, got {quoted(value)}")


def text(name: str, given: object) -> str:
    """A text or a path, as text.

    Raises:
        InputError: If it is neither, or an empty text.
    """
    if isinstance(given, str | os.PathLike) and str(given):
        return str(given)
    raise InputError(f"expected {name} to be text, such as a name, got {quoted(given)}")


def texts(name: str, given: object) -> tuple[str, ...]:
    """Several texts or paths, or a single one, as a tuple of texts.

    Raises:
        InputError: If it is anything else, or one of the texts is empty.
    """
    if isinstance(given, str | os.PathLike) or not isinstance(given, Iterable):
        return (text(name, given),)
    return tuple(text(name, each) for each in given)

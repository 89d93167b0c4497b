"""Option types and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from balto.arguments import (
    LARGEST_SEED,
    LEAST_MINUTES,
    LEAST_SECONDS,
    MOST_MINUTES,
    MOST_PROGRAMS,
    MOST_ROUNDS,
    MOST_SECONDS,
    MOST_SEEDS,
    MOST_TRIALS,
    MOST_WORKERS,
    decimal_number,
    whole_number,
)
from balto.text import quoted

F = TypeVar("F", bound=Callable[..., Any])


class Whole(click.ParamType):  # type: ignore[type-arg]
    """A whole number within bounds, in digits alone.

    Args:
        low: the smallest.
        high: the largest.
    """

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse, and refuse what is out of range."""
        try:
            number = whole_number(str(value).strip())
        except ValueError:
            number = self.low - 1
        if not self.low <= number <= self.high:
            expected = f"expected a whole number from {self.low} to {self.high}"
            self.fail(f"{expected}, got {quoted(value)}", param, ctx)
        return number


class Number(click.ParamType):  # type: ignore[type-arg]
    """A decimal number within bounds.

    Args:
        low: the smallest.
        high: the largest.
    """

    name = "number"

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse, and refuse what is out of range."""
        try:
            number = decimal_number(str(value).strip())
        except ValueError:
            number = self.low - 1
        if not self.low <= number <= self.high:
            expected = f"expected a number from {self.low:g} to {self.high:g}"
            self.fail(f"{expected}, got {quoted(value)}", param, ctx)
        return number


class Name(click.ParamType):  # type: ignore[type-arg]
    """A text that is not empty."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse the empty text, which a variable that is not set leaves."""
        if not str(value).strip():
            self.fail("expected a text, got an empty one; leave the option out", param, ctx)
        return str(value)


class Share(click.ParamType):  # type: ignore[type-arg]  # generic only in new releases
    """A share of something: ``5%`` or ``0.05``."""

    name = "share"

    def __init__(self, low: float, high: float, *, low_open: bool, high_open: bool) -> None:
        self.low, self.high, self.low_open, self.high_open = low, high, low_open, high_open

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse, and refuse what is out of range."""
        try:
            text = str(value).strip()
            percents = text.endswith("%")
            share = decimal_number(text[:-1].rstrip()) / 100 if percents else decimal_number(text)
        except ValueError:
            self.fail(f"expected a share such as 5% or 0.05, got {quoted(value)}", param, ctx)
        above = share > self.low if self.low_open else share >= self.low
        below = share < self.high if self.high_open else share <= self.high
        if not (above and below):
            words = (
                ("more than" if self.low_open else "at least"),
                ("less than" if self.high_open else "at most"),
            )
            self.fail(
                f"expected {words[0]} {self.low:.0%} and {words[1]} {self.high:.0%}, got {value}",
                param,
                ctx,
            )
        return share


class Seconds(float):
    """A budget of seconds, where a share might be."""


class Budget(Share):
    """A share, or a duration: ``90s``, ``10min``, ``2h``."""

    name = "budget"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse, and refuse what is out of range."""
        text = str(value).strip()
        unit = next((unit for unit in _UNITS if text.endswith(unit)), None)
        if unit is None:
            return super().convert(value, param, ctx)
        try:
            seconds = decimal_number(text[: -len(unit)].rstrip()) * _UNITS[unit]
        except ValueError:
            seconds = -1.0
        if not LEAST_SECONDS <= seconds <= MOST_SECONDS:
            expected = f"expected a share such as 5%, or from {LEAST_SECONDS:g} s on, such as 10min"
            self.fail(f"{expected}, got {quoted(value)}", param, ctx)
        return Seconds(seconds)


#: Seconds in the units of a duration; those that end as another does come first.
_UNITS = {"min": 60.0, "h": 3600.0, "s": 1.0}


def budget_settings(budget: float) -> dict[str, float]:
    """What the option ``--budget`` sets: a share, or seconds."""
    return {"budget_s": float(budget)} if isinstance(budget, Seconds) else {"budget": budget}


MINUTES = Number(LEAST_MINUTES, MOST_MINUTES)
NAME = Name()
PROGRAMS = Whole(1, MOST_PROGRAMS)
ROUNDS = Whole(1, MOST_ROUNDS)
SEED = Whole(0, LARGEST_SEED)
SEEDS = Whole(1, MOST_SEEDS)
TRIALS = Whole(0, MOST_TRIALS)
WORKERS = Whole(0, MOST_WORKERS)
BUDGET = Budget(0, 1, low_open=True, high_open=False)
TEST_SHARE = Share(0, 1, low_open=False, high_open=True)


def format_option(function: F) -> F:
    """``-f json``: one JSON object on stdout in the place of a table."""
    option = click.option(
        "-f",
        "--format",
        "output",
        type=click.Choice(["table", "json"]),
        default="table",
        show_default=True,
        help="How to print the result.",
    )
    return option(function)


def target_option(function: F) -> F:
    """``--target``: what programs are compiled for."""
    option = click.option(
        "--target",
        default="llvm",
        show_default=True,
        help="llvm, cuda or a target's JSON. cuda is young: tried on one GPU.",
    )
    return option(function)


def tasks_option(function: F) -> F:
    """``--tasks FILE``: tasks of somebody's own."""
    option = click.option(
        "--tasks",
        "task_files",
        multiple=True,
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Tasks of your own, as balto.write_task_file writes them; may be repeated.",
    )
    return option(function)


def store_option(function: F) -> F:
    """``--store DIR``: stores, the first of which is written to."""
    option = click.option(
        "--store",
        "store",
        multiple=True,
        type=NAME,
        metavar="DIR",
        help="Take from this store what was tuned before, and write to it; those of a repeated "
        "option are only read. own: a store of your own; none: no store [default]. Young.",
    )
    return option(function)


class _Shape(click.ParamType):  # type: ignore[type-arg]  # generic only in new releases
    """A size or a shape by name: ``batch=1`` or ``x=1x3x224x224``."""

    name = "shape"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """The name and its sizes, as text."""
        name, equals, sizes = str(value).rpartition("=")
        if not equals or not name:
            self.fail(f"expected NAME=SIZES such as batch=1 or x=1x3x8x8, got {value}", param, ctx)
        return name, sizes


def shape_option(function: F) -> F:
    """``--shape``: sizes for what a model file leaves open."""
    option = click.option(
        "--shape",
        "shapes",
        multiple=True,
        type=_Shape(),
        callback=lambda _ctx, _param, pairs: dict(pairs),
        metavar="NAME=SIZES",
        help="Size of a dimension that a file leaves open, batch=1, or an input's shape, "
        "x=1x3x224x224; may be repeated.",
    )
    return option(function)


def until_saturated_option(meaning: str) -> Callable[[F], F]:
    """``--until-saturated``: the budget is a limit rather than a plan; `meaning` is its help."""
    return click.option("--until-saturated", is_flag=True, help=meaning)


#: What it means in a campaign or a replay.
LOOP_SATURATED = (
    "Stop within the budget, when another 2 % of the programs would buy less than a point of Top-1."
)

"""What a line of a journal may hold: outcomes, and checks of what is read back."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from balto.arguments import check_number
from balto.data.outcome import Outcome, Status
from balto.data.outcomes import NUMBERS
from balto.data.plausible import plausible
from balto.errors import BaltoError, CampaignError, InputError
from balto.text import one_line

Record = Mapping[str, Any]


#: No number of an outcome is larger.
LARGEST = 1e30


@contextmanager
def at(place: str) -> Iterator[None]:
    """Name the record in whatever turns out to be wrong with it.

    Its checksum is right, so it is as it was written, and a copy would say the same.

    Raises:
        CampaignError: If what is done inside refuses the record; with `place`, on one line.
    """
    advice = "its checksum is right: use the balto that wrote it, or begin in another folder"
    try:
        yield
    except KeyError as error:
        raise CampaignError(f"{place}: {one_line(error)} is missing; {advice}") from error
    except BaltoError as error:
        if not isinstance(error, InputError):
            raise
        raise CampaignError(f"{place}: {one_line(error)}; {advice}") from error
    except Exception as error:  # a record may hold anything
        said = one_line(error) or type(error).__name__
        raise CampaignError(f"{place}: {said}; {advice}") from error


def possible_outcome(record: Record) -> Outcome:
    """The outcome in a record; a latency that was believed once and cannot be is a failure.

    Raises:
        InputError: there can be no such outcome.
    """
    outcome = outcome_from_record(record)
    for name in NUMBERS:
        value = getattr(outcome, name)
        # Asked first, as nearly all are so: a journal may have a million of them.
        if type(value) is float and (0 <= value <= LARGEST or value != value):
            continue
        check_number(name, value, 0, LARGEST)
    check_number("repeats", outcome.repeats, 0, 2**31 - 1, whole=True)
    _check(isinstance(outcome.message, str), "message", "text", outcome.message)
    _check(isinstance(outcome.device, str), "device", "text", outcome.device)
    if outcome.device and not math.isnan(outcome.probe_s):
        check_number("probe_s", outcome.probe_s, 0, LARGEST)
    if "at" in record:
        check_number("at", record["at"], 0, LARGEST)
    for name in ("latency_s", "latency_median_s"):
        value = getattr(outcome, name)
        if outcome.ok != (value > 0):
            raise InputError(
                f"expected {name} above 0 of an ok program and null of another, got {value} "
                f"with the status {outcome.status.value}"
            )
    return plausible(outcome)


def text_of(record: Record, name: str) -> str:
    """One value that is text.

    Raises:
        InputError: it is not.
    """
    value = record[name]
    _check(isinstance(value, str), name, "text", value)
    return str(value)


def _check(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise InputError(f"expected {name} to be {expected}, got {one_line(repr(got))}")


def outcome_to_record(outcome: Outcome) -> dict[str, Any]:
    """An outcome for JSON; unknown numbers are null, what no device of a fleet gave is left out."""
    record = {
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in vars(outcome).items()
    }
    record["status"] = outcome.status.value
    for name in ("device", "probe_s"):
        if not record[name]:
            del record[name]
    return record


def outcome_from_record(record: Mapping[str, Any]) -> Outcome:
    """The inverse of `outcome_to_record`; keys of other things are left alone."""
    fields: dict[str, Any] = {
        name: math.nan if record[name] is None else record[name]
        for name in Outcome.__dataclass_fields__
        if name in record
    }
    return Outcome(**{**fields, "status": Status(fields["status"])})

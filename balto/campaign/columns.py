"""Take in the measurements of a folded journal by columns: a million of them in a second or two.

What one record at a time would give (`balto.campaign.records`), and the same refusals: rows that
are not all right are left to the code that names the one that is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from balto.campaign.fleet import Fleet
from balto.campaign.records import Kind, Programs
from balto.data.outcome import Status
from balto.data.outcomes import NUMBERS, STATUSES, Outcomes
from balto.data.plausible import LARGEST_LATENCY_S, LEAST_LATENCY_S, implausible_of
from balto.journal.records import LARGEST
from balto.learn.store import OutcomeStore

Floats = NDArray[np.float64]
_TEXT = ("kind", "task", "status", "message")
_REQUIRED = (*_TEXT, "program", "repeats")


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measurements, a row each, in the order of the journal.

    Attributes:
        task: `n` strings.
        program: `n` int32.
        outcomes: of all rows.
        at: `n`, when each was journalled, seconds since 1970; NaN where that was not kept.
        device: `n` strings; empty where there is none.
        probe_s: `n`, NaN where it was not timed.
    """

    task: pa.StringArray
    program: NDArray[np.int32]
    outcomes: Outcomes
    at: Floats
    device: pa.StringArray
    probe_s: Floats

    @classmethod
    def of(cls, batch: pa.RecordBatch, sizes: Mapping[str, Programs]) -> Measurements | None:
        """From rows of `balto.journal.parts`; None if one of them says what cannot be.

        Args:
            batch: all of measurements.
            sizes: the programs of each task.
        """
        if any(batch[name].null_count for name in _REQUIRED):
            return None
        status = _status(batch["status"])
        if status is None or set(batch["kind"].unique().to_pylist()) != {Kind.MEASUREMENT}:
            return None
        made = cls(
            batch["task"],
            batch["program"].to_numpy(),
            Outcomes.from_columns(
                status,
                {name: _floats(batch[name]) for name in NUMBERS},
                batch["repeats"].to_numpy(),
                {i: text for i, text in enumerate(batch["message"].to_pylist()) if text},
            ),
            _floats(batch["at"]),
            batch["device"].fill_null(""),
            _floats(batch["probe_s"]),
        )
        dated = batch["at"].is_valid().to_numpy(zero_copy_only=False)
        return made if made._possible(dated) and made._there(sizes) else None

    def _possible(self, dated: NDArray[np.bool_]) -> bool:
        """Whether every row could be an outcome; see `balto.journal.records.possible_outcome`."""
        outcomes = self.outcomes
        ok, numbers = outcomes.ok, outcomes.numbers
        named = pc.not_equal(self.device, "").to_numpy(zero_copy_only=False)
        probed = named & ~np.isnan(self.probe_s)
        return bool(
            all((_within(each, 0, LARGEST) | np.isnan(each)).all() for each in numbers.values())
            and (outcomes.repeats >= 0).all()
            and _within(self.probe_s[probed], LEAST_LATENCY_S, LARGEST_LATENCY_S).all()
            and _within(self.at[dated], 0, LARGEST).all()
            and all(((numbers[n] > 0) == ok).all() for n in ("latency_s", "latency_median_s"))
            and implausible_of(outcomes, np.full(len(outcomes), np.nan)) is None
        )

    def _there(self, sizes: Mapping[str, Programs]) -> bool:
        """Whether there is such a program of such a task for every row."""
        encoded = self.task.dictionary_encode()
        names = encoded.dictionary.to_pylist()
        counts = np.array([sizes[name].count if name in sizes else 0 for name in names])
        most = counts[encoded.indices.to_numpy()]
        return bool(((self.program >= 0) & (self.program < most)).all())

    @classmethod
    def concatenate(cls, parts: list[Measurements]) -> Measurements:
        """Join several, at least one, in order."""
        return cls(
            pa.concat_arrays([each.task for each in parts]),
            np.concatenate([each.program for each in parts]),
            Outcomes.concatenate(each.outcomes for each in parts),
            np.concatenate([each.at for each in parts]),
            pa.concat_arrays([each.device for each in parts]),
            np.concatenate([each.probe_s for each in parts]),
        )

    def give(self, store: OutcomeStore, fleet: Fleet) -> None:
        """Hand all to the stores that keep them, as if one came after the other."""
        for name, rows in _groups(self.task):
            store.add_many(name, self.program[rows], self.outcomes.take(rows))
        for name, rows in _groups(self.device):
            if name:
                fleet.add_many(name, self.outcomes.take(rows), self.at[rows], self.probe_s[rows])


def _groups(names: pa.StringArray) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each name with its rows, ascending; names in the order in which they come first."""
    encoded = names.dictionary_encode()
    codes = encoded.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
    for k, name in enumerate(encoded.dictionary.to_pylist()):
        yield name, order[ends[k] : ends[k + 1]]


def _status(column: pa.Array) -> NDArray[np.uint8] | None:
    """Places in `STATUSES`; None if there is no such status."""
    encoded = column.dictionary_encode()
    names = encoded.dictionary.to_pylist()
    if not set(names) <= set(Status):
        return None
    places = np.array([STATUSES.index(Status(name)) for name in names], np.uint8)
    return np.asarray(places[encoded.indices.to_numpy()])


def _floats(column: pa.Array) -> Floats:
    """With NaN for null."""
    return np.asarray(column.to_numpy(zero_copy_only=False), np.float64)


def _within(values: Floats, low: float, high: float) -> NDArray[np.bool_]:
    return (values >= low) & (values <= high)

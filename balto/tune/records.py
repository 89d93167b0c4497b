"""What the journal of a tuning says, a record a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balto.campaign.journal import numbered
from balto.campaign.records import at, possible_outcome, text_of
from balto.errors import InputError

#: In the folder of a tuning.
JOURNAL = "journal.jsonl"
#: Kinds of records: the settings, first; a program when it was measured, the untuned one too; one
#: of the fastest when it was measured again; what a batch of them took.
CONFIG, TRIAL, AGAIN, BATCH = "config", "trial", "again", "batch"


def read_records(path: Path) -> list[dict[str, Any]]:
    """What a journal says: the settings, then trials and what batches of them took.

    Raises:
        CampaignError: it is damaged, or a record says what cannot be; with its line.
    """
    records: list[dict[str, Any]] = []
    for place, record in numbered(path):
        with at(f"{path}: {place}"):
            kind = record["kind"]
            if kind not in ((TRIAL, AGAIN, BATCH) if records else (CONFIG,)):
                raise InputError(f"expected the settings, then trials; got {kind!r}")
            if kind in (TRIAL, AGAIN):
                text_of(record, "task"), text_of(record, "trace")
                possible_outcome(record)
        records.append(record)
    return records

"""Fold a long journal into Parquet, so that a campaign of a million measurements opens fast.

The records of a journal that has become long go to a file of their own, a *part*, and the journal
starts again with one record that names all parts, in order. A part is never written again once the
journal names it, and each step is atomic: killed at any instant, the journal names whole parts,
and holds every record that is in none of them. Measurements are columns of a part, which
`balto.campaign.columns` takes in without making an object of each.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from balto.data.files import reading, sha256, write_atomically
from balto.errors import CampaignError

#: A journal longer than this is folded, bytes.
LIMIT = 8 << 20
#: Kind of the first record of a journal that was folded.
KIND = "compacted"
#: Records of a row group, which are in memory at a time.
_GROUP = 65_536

_MEASUREMENT = pa.schema(
    [
        ("kind", pa.string()),
        ("task", pa.string()),
        ("program", pa.int32()),
        ("status", pa.string()),
        ("latency_s", pa.float64()),
        ("latency_median_s", pa.float64()),
        ("build_s", pa.float64()),
        ("measure_s", pa.float64()),
        ("repeats", pa.int32()),
        ("spread", pa.float64()),
        ("message", pa.string()),
        ("device", pa.string()),
        ("probe_s", pa.float64()),
        ("at", pa.float64()),
    ]
)
#: What a measurement may do without.
_OPTIONAL = {"device", "probe_s", "at"}
#: A record that is no measurement is kept as JSON, in a column of its own.
_SCHEMA = _MEASUREMENT.append(pa.field("record", pa.string()))


def parts_of(first: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The parts that a journal's first record names; none if it is an ordinary record.

    Raises:
        CampaignError: the record says what cannot be.
    """
    if first.get("kind") != KIND:
        return []
    with reading("the journal's first line", CampaignError, "restore the journal from a copy"):
        return [
            {
                "file": Path(part["file"]).name,
                "records": int(part["records"]),
                "sha256": str(part["sha256"]),
            }
            for part in first.get("parts", [first])  # once all records were in one file
        ]


def write_part(
    folder: Path, before: Sequence[Mapping[str, Any]], records: Iterable[Mapping[str, Any]]
) -> dict[str, Any]:
    """Write `records`, at least one, to a part; returns how the journal starts again.

    Args:
        folder: of the journal.
        before: the parts that there are.
        records: those that are in none of them.

    Raises:
        StorageError: it cannot be written.
    """
    rows, count = iter(records), 0
    name = f"journal.{sum(part['records'] for part in before):010d}.parquet"
    with (
        write_atomically(folder / name) as partial,
        pq.ParquetWriter(partial, _SCHEMA, compression="zstd") as writer,
    ):
        while some := [_row(record) for record in islice(rows, _GROUP)]:
            writer.write_table(pa.Table.from_pylist(some, schema=_SCHEMA))
            count += len(some)
    part = {"file": name, "records": count, "sha256": sha256(folder / name)}
    return {"kind": KIND, "parts": [*before, part]}


def read_parts(folder: Path, first: Mapping[str, Any]) -> Iterator[pa.RecordBatch]:
    """The records that a journal's first record stands for, in order.

    Yields:
        Rows that are all measurements, or all records as JSON in the column ``record``.

    Raises:
        CampaignError: a part is missing or damaged.
    """
    for part in parts_of(first):
        path = folder / part["file"]
        with reading(path, CampaignError, "restore it from a copy"):
            if sha256(path) != part["sha256"]:
                raise ValueError("its checksum does not match")
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(_GROUP):
                    yield from _runs(batch)


def is_measurements(batch: pa.RecordBatch) -> bool:
    """Whether rows from `read_parts` are measurements."""
    return bool(batch["record"].null_count)


def records_of(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    """The rows of `read_parts` as the records that they were."""
    if not is_measurements(batch):
        yield from map(json.loads, batch["record"].to_pylist())
        return
    for row in batch.select(_MEASUREMENT.names).to_pylist():
        yield {k: v for k, v in row.items() if v is not None or k not in _OPTIONAL}


def _runs(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Cut where measurements follow other records, or the other way round."""
    other = batch["record"].is_valid().to_numpy(zero_copy_only=False)
    cuts = (other[1:] != other[:-1]).nonzero()[0] + 1
    ends = [0, *cuts.tolist(), len(batch)]
    for start, stop in pairwise(ends):
        yield batch.slice(start, stop - start)


def _row(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record as a row: in columns, if those of a measurement hold all of it."""
    names = set(_MEASUREMENT.names)
    if names - _OPTIONAL <= set(record) <= names:
        return record
    return {"record": json.dumps(record)}

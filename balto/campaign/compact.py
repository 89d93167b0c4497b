"""Fold a long journal into Parquet, so that a campaign of a million measurements opens fast.

The records go to ``journal.N.parquet``, N being their number, and the journal starts again with
one record that names the file. Each step is atomic and the name is new each time: killed at any
instant, the journal names either the old file or the new one, and both hold all that it counts on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from balto.data.files import reading, sha256, write_atomically
from balto.errors import CampaignError

#: A journal longer than this is folded when it is next opened for writing, bytes.
LIMIT = 32 << 20
#: Kind of the first record of a journal that was folded.
KIND = "compacted"

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


def write_compacted(folder: Path, records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Write `records` to Parquet; returns the record with which the journal starts again."""
    rows = [record if _is_row(record) else {"record": json.dumps(record)} for record in records]
    name = f"journal.{len(rows)}.parquet"
    with write_atomically(folder / name) as partial:
        pq.write_table(pa.Table.from_pylist(rows, schema=_SCHEMA), partial, compression="zstd")
    return {"kind": KIND, "file": name, "records": len(rows), "sha256": sha256(folder / name)}


def read_compacted(folder: Path, first: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The records that a journal's first record stands for, in order.

    Raises:
        CampaignError: the file is missing or damaged.
    """
    path = folder / Path(first["file"]).name
    with reading(path, CampaignError, "restore it from a copy"):
        if sha256(path) != first["sha256"]:
            raise ValueError("its checksum does not match")
        table = pq.read_table(path, schema=_SCHEMA)
        for batch in table.to_batches(max_chunksize=65_536):
            for row in batch.to_pylist():
                record = row.pop("record")
                if record is not None:
                    yield json.loads(record)
                else:
                    yield {k: v for k, v in row.items() if v is not None or k not in _OPTIONAL}


def _is_row(record: Mapping[str, Any]) -> bool:
    """Whether the columns of a measurement hold all of a record."""
    names = set(_MEASUREMENT.names)
    return names - _OPTIONAL <= set(record) <= names

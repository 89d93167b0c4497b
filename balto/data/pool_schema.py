"""What a recorded pool's files hold: pool exchange format version 2, and version 1 before it.

`docs/pool-format.md` describes every column.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from balto.data.features import STORE, FeatureSet
from balto.errors import PoolError

#: The version that is written.
VERSION = 2
#: The files of a pool.
POOL_FILES = ("tasks.parquet", "programs.parquet")
#: Beside them, where an import knows it: how often each network has each task.
NETWORKS = "networks.json"
#: Key of the files' metadata, whose value is JSON.
KEY = b"balto"

#: Columns of ``tasks.parquet``; version 1 had those before `flop`.
TASKS = pa.schema(
    [
        ("task_id", pa.int32()),
        ("name", pa.string()),
        ("op", pa.string()),
        ("args", pa.string()),
        ("weight", pa.int32()),
        ("target", pa.string()),
        ("device", pa.string()),
        ("flop", pa.float64()),
        ("module", pa.large_string()),
    ]
)
TASKS_1 = pa.schema(list(TASKS)[:7])

_OUTCOME_1 = [
    ("status", pa.string()),
    ("latency_s", pa.float64()),
    ("latency_median_s", pa.float64()),
    ("build_s", pa.float64()),
    ("measure_s", pa.float64()),
]
_ADDED = [("repeats", pa.int32()), ("spread", pa.float64()), ("message", pa.string())]
_OUTCOME = [*_OUTCOME_1, *_ADDED]
#: Columns that may be null.
NULLABLE = {
    *("flop", "module", "status", "latency_s", "latency_median_s", "build_s", "measure_s"),
    *("repeats", "spread", "message", "trace"),
}
#: Columns that version 1 forbids to be null.
REQUIRED_1 = {"status"}


def features_column(feature_set: FeatureSet) -> str:
    """The column of ``programs.parquet`` that holds a feature set."""
    return f"features_{feature_set.name}"


def programs_schema(sets: Sequence[FeatureSet]) -> pa.Schema:
    """Columns of ``programs.parquet``, with one for each feature set."""
    features = [
        (features_column(each), pa.large_list(pa.list_(pa.float32(), each.width))) for each in sets
    ]
    ids = [("task_id", pa.int32()), ("program_id", pa.int32())]
    schema = pa.schema([*ids, *_OUTCOME, ("trace", pa.large_string()), *features])
    return schema.with_metadata({KEY: json.dumps(metadata(sets)).encode()})


def programs_schema_1() -> pa.Schema:
    """Columns of version 1, whose features are those of `store`."""
    features = ("features", pa.large_list(pa.large_list(pa.float32())))
    ids = [("task_id", pa.int32()), ("program_id", pa.int32())]
    return pa.schema([*ids, *_OUTCOME_1, ("trace", pa.large_string()), features])


def metadata(sets: Sequence[FeatureSet]) -> dict[str, Any]:
    """What both files say about themselves."""
    return {
        "format": "balto-pool",
        "version": VERSION,
        "features": [each.to_dict() for each in sets],
    }


def read_metadata(path: Any, schema: pa.Schema) -> tuple[int, list[FeatureSet]]:
    """Version and feature sets of a file of a pool; without metadata it is version 1.

    Raises:
        PoolError: If the file is of another format, or of a version that is not known here.
    """
    stored = (schema.metadata or {}).get(KEY)
    if stored is None:
        return 1, [STORE]
    try:
        said = json.loads(stored)
        kind, version = said["format"], said["version"]
        sets = [FeatureSet(s["name"], s["version"], s["width"]) for s in said["features"]]
        sound = kind == "balto-pool" and all(
            isinstance(s.name, str) and isinstance(s.width, int) and 0 < s.width < 65536
            for s in sets
        )
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise PoolError(f"{path}: its metadata is damaged: {error!r:.200}") from error
    if not sound or not sets:
        raise PoolError(f"{path} is no file of a recorded pool")
    if version != VERSION:
        raise PoolError(
            f"{path} has pool format {version}, this balto reads 1 and {VERSION}: "
            "use a newer balto, or export the pool again"
        )
    return VERSION, sets

"""A campaign: a directory that holds one pre-training run, resumable at any point.

::

    WORK_DIR/
    ├── config.json      what was asked for; a changed one is refused
    ├── tasks.json       the tasks, with their TVM modules
    ├── programs/        features and traces of each task's random programs, one Parquet file each
    ├── journal.jsonl    every measurement, selection and round, append-only
    ├── model.balto      the trained cost model
    └── report.html      written by ``balto report``
"""

from __future__ import annotations

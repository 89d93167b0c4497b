"""A campaign: a directory that holds one pre-training run, resumable at any point.

::

    WORK_DIR/
    ├── config.json      what was asked for; the journal has it too, and refuses a changed one
    ├── tasks.json       the tasks, with their TVM modules, and a checksum
    ├── programs/        features and traces of each task's random programs, one Parquet file each
    ├── journal.jsonl    every measurement, selection and round, append-only; a checksum a line,
    │                    and those of the files in programs/
    ├── model.balto      the trained cost model
    └── report.html      written by ``balto report``

Every file is checked, or can be made again: model.balto, config.json and the report from the rest,
tasks.json and programs/ from the networks.
"""

from __future__ import annotations

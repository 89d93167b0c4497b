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

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.campaign.campaign import Campaign
    from balto.campaign.config import Config
    from balto.campaign.facts import Facts
    from balto.campaign.fleet import Device, Drift, Fleet
    from balto.campaign.folder import ShardId, WorkFolder
    from balto.campaign.listener import Listener
    from balto.campaign.merge import Merge
    from balto.campaign.progress import Progress
    from balto.campaign.records import Programs
    from balto.campaign.shards import Shard
    from balto.campaign.status import CampaignStatus

__all__ = [
    "Campaign",
    "CampaignStatus",
    "Config",
    "Device",
    "Drift",
    "Facts",
    "Fleet",
    "Listener",
    "Merge",
    "Programs",
    "Progress",
    "Shard",
    "ShardId",
    "WorkFolder",
]

__getattr__, __dir__ = lazily(__name__)

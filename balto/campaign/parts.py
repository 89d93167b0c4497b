"""What shards have journalled, each in a part of its own, read while they may be writing."""

from __future__ import annotations

import re
from pathlib import Path

from balto.campaign.facts import Facts
from balto.campaign.folder import ShardId
from balto.campaign.records import JOURNAL, PARTS
from balto.errors import CampaignError
from balto.journal.file import Follower

_NAME = re.compile(r"([1-9]\d{0,5})-of-([1-9]\d{0,5})")


class Part:
    """What one shard has journalled, read while it may be writing.

    Attributes:
        shard: whose it is.
        facts: what its journal said at the last look.
    """

    def __init__(self, path: Path, shard: ShardId) -> None:
        self.shard = shard
        self.facts = Facts()
        self._follower = Follower(path / JOURNAL)

    def look(self) -> None:
        """Take in what is new.

        Raises:
            CampaignError: If its journal is damaged.
        """
        self.facts = self.facts.follow(self._follower)

    @property
    def drawn(self) -> bool:
        """Whether it has drawn all its tasks."""
        done = len(self.facts.programs) + len(self.facts.left_out)
        return self.facts.tasks is not None and done >= self.facts.tasks


def find_parts(work_dir: Path) -> dict[int, Part]:
    """The parts of a campaign that are there, by the number of their shard.

    Raises:
        CampaignError: If they are of different splits.
    """
    names = [m for path in (work_dir / PARTS).glob("*") if (m := _NAME.fullmatch(path.name))]
    splits = sorted({int(match[2]) for match in names})
    if len(splits) > 1:
        raise CampaignError(
            f"{work_dir / 'parts'} has parts of different splits, into "
            f"{' and '.join(map(str, splits))}: keep those of one"
        )
    ids = [ShardId(int(match[1]), int(match[2])) for match in names]
    return {each.number: Part(work_dir / PARTS / str(each), each) for each in ids}

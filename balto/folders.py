"""One question of a folder, whether ``balto pretrain`` or ``balto tune`` works in it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from balto.tune.status import TuneStatus, is_tuning, tune_status

if TYPE_CHECKING:
    from balto.campaign.status import CampaignStatus
    from balto.data.pool import Pool


def status(folder: str | Path) -> CampaignStatus | TuneStatus:
    """How far a campaign or a tuning is, read while it may be running.

    Args:
        folder: of either.

    Returns:
        Its state; ``to_dict()`` of it is for JSON.

    Raises:
        CampaignError: If there is neither in the folder, or its journal is damaged.

    Examples:
        >>> balto.write_pool(balto.testing.made_up_pool(), "recorded")
        180
        >>> with balto.Campaign("work", balto.Config(pool="recorded", rounds=2)) as campaign:
        ...     result = campaign.run()
        >>> balto.status("work").state
        'finished'
    """
    if is_tuning(folder):
        return tune_status(folder)
    from balto.campaign.status import status as campaign_status

    return campaign_status(folder)


def pool_of(folder: str | Path) -> Pool:
    """The programs of a campaign or a tuning, with what is known of them.

    Args:
        folder: of either.

    Returns:
        Of a campaign all programs that were drawn, of a tuning its trials.

    Raises:
        CampaignError: If there is neither in the folder, it has no programs yet, or is damaged.
        InputError: If TVM cannot make the programs of a tuning's task again.

    Examples:
        >>> balto.write_pool(balto.testing.made_up_pool(), "recorded")
        180
        >>> with balto.Campaign("work", balto.Config(pool="recorded", rounds=2)) as campaign:
        ...     result = campaign.run()
        >>> pool = balto.pool_of("work")
        >>> len(pool), int(pool.outcomes.measured.sum())
        (180, 26)
    """
    if is_tuning(folder):
        from balto.tune.export import pool_of as pool_of_trials

        return pool_of_trials(folder)
    from balto.campaign.pool import pool_of as pool_of_campaign

    return pool_of_campaign(folder)


def write_report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Draw a campaign or a tuning, finished or not, on one HTML page that needs nothing else.

    Args:
        folder: of either.
        path: the page; ``report.html`` in the folder by default.

    Returns:
        Where the page is.

    Raises:
        CampaignError: If there is neither in the folder, or nothing is known of its tasks yet.

    Examples:
        >>> balto.write_pool(balto.testing.made_up_pool(), "recorded")
        180
        >>> with balto.Campaign("work", balto.Config(pool="recorded", rounds=2)) as campaign:
        ...     result = campaign.run()
        >>> balto.write_report("work").name
        'report.html'
    """
    if is_tuning(folder):
        from balto.report.tuning import write_tuning_report

        return write_tuning_report(folder, path)
    from balto.report.page import write_report as write_campaign_report

    return write_campaign_report(folder, path)

"""What the page of a running campaign shows, and ``balto watch --once`` prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from balto.campaign.status import CampaignStatus
from balto.data.files import nan_to_none
from balto.data.outcome import Status


def snapshot(work_dir: str | Path, now: CampaignStatus) -> dict[str, Any]:
    """What the page shows, for JSON; what is not known is null."""
    config, curves = now.config, {}
    for name in filter(None, (config.selector_spec, config.compare_spec)):
        curves[name] = [
            {
                "round": each.round,
                "measurements": each.measurements,
                "top1": each.accuracy.top1 if each.accuracy else None,
                "top5": each.accuracy.top5 if each.accuracy else None,
            }
            for each in now.facts.curve(name)
        ]
    counts = now.statuses
    whole = {
        **now.to_dict(),
        "title": str(work_dir),
        "curves": curves,
        "failures": [
            {"kind": kind, "programs": counts[kind], "advice": Status(kind).advice}
            for kind in sorted(counts)
            if kind != Status.OK
        ],
        "drifts": [str(drift) for drift in now.facts.fleet.drifts()],
    }
    found: dict[str, Any] = nan_to_none(whole)
    return found

"""``balto status``: finished or interrupted, what is measured, and what came of it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from balto.cli.options import format_option

if TYPE_CHECKING:
    from balto.campaign.status import CampaignStatus

#: Tasks that were left out and are named, at most.
NAMED = 20


@click.command("status")
@click.argument("folder", type=click.Path(path_type=Path))
@format_option
def command(folder: Path, output: str) -> None:
    """Show how far the campaign, or the tuning, in FOLDER is."""
    from balto.cli.output import print_json
    from balto.cli.status_of_tuning import print_tuning
    from balto.folders import status
    from balto.text import printable
    from balto.tune.status import TuneStatus

    now = status(folder)
    if output == "json":
        print_json(now.to_dict())
        return
    verb = "tune" if isinstance(now, TuneStatus) else "pretrain"
    advice = {
        "finished": f"balto report {folder} shows it",
        "running": "",
        "interrupted": f"repeat the balto {verb} command to go on",
    }
    click.echo(printable(f"{folder}: {now.state}. {advice[now.state]}".rstrip(" .")))
    if isinstance(now, TuneStatus):
        print_tuning(now)
    else:
        _print_campaign(now)


def _print_campaign(now: CampaignStatus) -> None:
    from balto.cli.output import left_out_line, print_table
    from balto.cli.watch import print_devices
    from balto.data.outcome import Status as Outcome
    from balto.text import printable
    from balto.units import percent, seconds

    last = now.last
    click.echo(
        printable(
            f"{now.config.selector_spec} with {now.config.model_spec}: round "
            f"{last.round if last else 0} of {now.config.rounds}, "
            f"{last.measurements if last else 0} programs selected"
        )
    )
    print_table(
        ["measurements", "", "what it means"],
        [(name, count, Outcome(name).advice) for name, count in sorted(now.statuses.items())]
        + [("total", sum(now.statuses.values()), f"{seconds(now.seconds)} of building and timing")],
    )
    fleet = now.facts.fleet
    print_devices(fleet.to_dict(), [str(drift) for drift in fleet.drifts()])
    if last is not None and last.accuracy is not None:
        a = last.accuracy
        click.echo(
            f"Accuracy on held-out programs: Top-1 {percent(a.top1)}, Top-5 {percent(a.top5)}, "
            f"pairwise {percent(a.pairwise)}, RMSE {a.rmse:.3f}"
        )
    if now.facts.reference is not None:
        level = now.facts.reference
        click.echo(
            f"All {level.measurements} labels together: Top-1 {percent(level.accuracy.top1)}, "
            f"Top-5 {percent(level.accuracy.top5)}"
        )
    if now.facts.left_out:
        click.echo(left_out_line(now.facts.left_out))
        for name, reason in islice(now.facts.left_out.items(), NAMED):
            click.echo(printable(f"  {name}: {reason}"))
        if len(now.facts.left_out) > NAMED:
            click.echo(f"  and {len(now.facts.left_out) - NAMED} more; -f json names them all")

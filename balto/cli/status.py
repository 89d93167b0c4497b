"""``balto status``: finished or interrupted, what is measured, and how good the model is."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import click

from balto.cli.options import format_option

#: Tasks that were left out and are named, at most.
NAMED = 20


@click.command("status")
@click.argument("work_dir", type=click.Path(path_type=Path))
@format_option
def command(work_dir: Path, output: str) -> None:
    """Show how far the campaign in WORK_DIR is."""
    from balto.campaign.status import status
    from balto.cli.output import left_out_line, plain, print_json, print_table, require_campaign
    from balto.cli.watch import print_devices
    from balto.data.outcome import Status as Outcome
    from balto.units import percent, seconds

    require_campaign(work_dir)
    now = status(work_dir)
    if output == "json":
        print_json(now.to_dict())
        return
    advice = {
        "finished": f"balto report {work_dir} shows it",
        "running": "",
        "interrupted": "repeat the balto pretrain command to go on",
    }
    last = now.last
    click.echo(plain(f"{work_dir}: {now.state}. {advice[now.state]}".rstrip(" .")))
    click.echo(
        plain(
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
            click.echo(plain(f"  {name}: {reason}"))
        if len(now.facts.left_out) > NAMED:
            click.echo(f"  and {len(now.facts.left_out) - NAMED} more; -f json names them all")

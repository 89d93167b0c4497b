"""``balto merge``: one campaign of the parts that shards have written."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("merge")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.option("--wait", is_flag=True, help="Wait for shards that are not ready, to the end.")
@click.option("--partial", is_flag=True, help="Go on without the shards that are behind now.")
def command(work_dir: Path, wait: bool, partial: bool) -> None:
    """Take in what the shards in WORK_DIR have measured, train, and select what they measure next.

    Where shards have to run first it says which, and ends; run them and merge again. Young: tried
    with jobs on one machine.
    """
    from balto.campaign.merge import Merge
    from balto.campaign.records import MODEL
    from balto.cli.live import CampaignNarrator
    from balto.cli.output import left_out_line
    from balto.errors import PartsMissing
    from balto.text import printable

    try:
        with Merge(work_dir, wait=wait, partial=partial) as campaign:
            if campaign.finished:
                click.echo(f"{work_dir} is finished already, nothing to do", err=True)
                return
            with CampaignNarrator() as narrator:
                campaign.run(listener=narrator)
            if campaign.facts.left_out:
                click.echo(left_out_line(campaign.facts.left_out), err=True)
    except PartsMissing as missing:
        click.echo(printable(f"not finished: {missing}"), err=True)
    else:
        click.echo(f"finished: the cost model is {work_dir / MODEL}", err=True)
        click.echo(f"balto report {work_dir} draws it", err=True)

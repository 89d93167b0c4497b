"""``balto export``: the measurements of a campaign or a tuning as a recorded pool."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.argument("pool", type=click.Path(path_type=Path))
def command(work_dir: Path, pool: Path) -> None:
    """Write what the campaign, or the tuning, in WORK_DIR has measured to POOL."""
    from balto.campaign import pool as campaign
    from balto.data.pool_writer import require_new, write_pool
    from balto.tune import export as tuning
    from balto.tune.status import is_tuning

    require_new(pool)
    pool_of = tuning.pool_of if is_tuning(work_dir) else campaign.pool_of
    count = write_pool(pool_of(work_dir), pool)
    click.echo(f"{count} measured programs written to {pool}", err=True)

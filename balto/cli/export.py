"""``balto export``: a campaign's measurements as a recorded pool."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.argument("pool", type=click.Path(path_type=Path))
def command(work_dir: Path, pool: Path) -> None:
    """Write what WORK_DIR has measured to POOL, in the exchange format."""
    from balto.campaign.status import pool_of
    from balto.data.pool_writer import write_pool

    count = write_pool(pool_of(work_dir), pool)
    click.echo(f"{count} measured programs written to {pool}", err=True)

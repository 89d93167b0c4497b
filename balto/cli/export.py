"""``balto export``: the measurements of a campaign or a tuning as a recorded pool."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("export")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.argument("pool", type=click.Path(path_type=Path))
def command(work_dir: Path, pool: Path) -> None:
    """Write what the campaign, or the tuning, in WORK_DIR has measured to POOL."""
    from balto.data.pool_writer import require_new, write_pool
    from balto.folders import pool_of

    require_new(pool)
    count = write_pool(pool_of(work_dir), pool)
    click.echo(f"{count} measured programs written to {pool}", err=True)

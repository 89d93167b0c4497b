"""``balto report``: one self-contained HTML page."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("report")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="[default: WORK_DIR/report.html]"
)
def command(work_dir: Path, output: Path | None) -> None:
    """Draw the campaign, or the tuning, in WORK_DIR on one HTML page."""
    from balto.folders import write_report
    from balto.text import printable

    click.echo(printable(write_report(work_dir, output)))

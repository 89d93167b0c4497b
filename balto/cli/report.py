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
    from balto.report.page import write_report
    from balto.report.tuning import write_tuning_report
    from balto.tune.status import is_tuning

    write = write_tuning_report if is_tuning(work_dir) else write_report
    click.echo(write(work_dir, output))

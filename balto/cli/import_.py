"""``balto import``: what other tools have measured, as a recorded pool."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from balto.cli.options import NAME, format_option

if TYPE_CHECKING:
    from balto.importers.imported import Imported

_DEVICE = click.option(
    "--device", type=NAME, help="Name of the device; by default what the source says."
)


@click.group("import")
def command() -> None:
    """Make a recorded pool of what TenSet, Ansor or MetaSchedule has measured."""


@command.command("tenset")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("pool", type=click.Path(path_type=Path))
@click.option(
    "--network-info",
    type=click.Path(path_type=Path),
    help="Folder of *.task.pkl files, for weights. [default: network_info beside SOURCE]",
)
@_DEVICE
@format_option
def tenset(
    source: Path, pool: Path, network_info: Path | None, device: str | None, output: str
) -> None:
    """SOURCE is TenSet's dataset.pkl, .feature_cache files, measure_records, or an Ansor log."""
    from balto.data.pool_writer import require_new
    from balto.importers.tenset import import_tenset

    require_new(pool)
    _say(import_tenset(source, pool, network_info, device), pool, output)


@command.command("metaschedule")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.argument("pool", type=click.Path(path_type=Path))
@_DEVICE
@format_option
def metaschedule(work_dir: Path, pool: Path, device: str | None, output: str) -> None:
    """WORK_DIR has MetaSchedule's database_workload.json and database_tuning_record.json."""
    from balto.data.pool_writer import require_new
    from balto.importers.metaschedule import import_metaschedule

    require_new(pool)
    _say(import_metaschedule(work_dir, pool, device), pool, output)


def _say(result: Imported, pool: Path, output: str) -> None:
    from balto.cli.output import print_json
    from balto.text import printable

    if output == "json":
        print_json(result.to_dict())
    failed = ", ".join(f"{n} {s}" for s, n in sorted(result.statuses.items()) if s != "ok")
    lines = [
        f"{result.programs} programs of {result.tasks} tasks written to {pool}"
        + (f"; failed: {failed}" if failed else ""),
        result.skipped_words(),
        *result.notes,
    ]
    for line in filter(None, lines):
        click.echo(printable(line), err=True)

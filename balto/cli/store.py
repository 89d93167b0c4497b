"""``balto store``: what was tuned before: to look at, to hand on, to keep small."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from balto.cli.options import NAME, PROGRAMS, Whole, format_option, store_option

if TYPE_CHECKING:
    from balto.store.archive import Moved
    from balto.store.contents import Row
    from balto.store.folder import Store
    from balto.store.upkeep import Keep

_PATH = click.Path(path_type=Path)


@click.group("store")
def command() -> None:
    """Look at a store of tuned programs, hand it on, take in others, keep it small.

    Without --store it is your own: $BALTO_STORE, or balto/store in $XDG_DATA_HOME or
    ~/.local/share.
    """


@command.command("list")
@store_option
@format_option
def list_(store: tuple[str, ...], output: str) -> None:
    """The tasks, where they were measured, and the fastest program of each."""
    from balto.store.contents import rows

    stores = _stores(store)
    _print(list(rows(stores)), output)
    _say_troubles(stores)


@command.command("show")
@click.argument("task")
@store_option
@format_option
def show(task: str, store: tuple[str, ...], output: str) -> None:
    """What is known of TASK, its name or the beginning of its key."""
    from balto.store.contents import find

    stores = _stores(store)
    _print(find(stores, task), output, entries=True)
    _say_troubles(stores)


@command.command("export")
@click.argument("file", type=_PATH)
@click.argument("tasks", nargs=-1)
@click.option("--by", type=NAME, help="Who makes the file. [default: your name on this computer]")
@store_option
@format_option
def export(
    file: Path, tasks: tuple[str, ...], by: str | None, store: tuple[str, ...], output: str
) -> None:
    """Write one FILE to hand on, of all TASKS or some."""
    from balto.store.archive import export as write
    from balto.store.contents import find

    [one] = _stores(store, one=True)
    keys = {row.head.identity.key for task in tasks for row in find([one], task)}
    moved = write(one, file, by or "", lambda e: not tasks or e.head.identity.key in keys)
    _say(moved, output, f"written to {file}")


@command.command("import")
@click.argument("source", type=_PATH)
@store_option
@format_option
def import_(source: Path, store: tuple[str, ...], output: str) -> None:
    """Take in SOURCE: a file of export, a store, a recorded pool, or MetaSchedule's database."""
    from balto.data.pool_reader import read_pool
    from balto.importers.metaschedule import RECORDS
    from balto.store.archive import import_from
    from balto.store.pools import import_database, import_pool

    [one] = _stores(store, write=True)
    if (source / RECORDS).is_file() or (source / "database" / RECORDS).is_file():
        moved = import_database(one, source)
    elif (source / "tasks.parquet").is_file():
        moved = import_pool(one, read_pool(source))
    else:
        moved = import_from(one, source)
    _say(moved, output, f"taken into {one.path}")


@command.command("merge")
@store_option
@format_option
def merge(store: tuple[str, ...], output: str) -> None:
    """Make the files of each task and place one; nothing that was measured is lost."""
    _rewrite(store, output, [])


@command.command("prune")
@click.option("--keep", type=PROGRAMS, help="Programs to keep of each task, the fastest.")
@click.option(
    "--older-than",
    "days",
    type=Whole(0, 36_500),
    metavar="DAYS",
    help="Forget tasks of which nothing was measured for so long.",
)
@store_option
@format_option
def prune(keep: int | None, days: int | None, store: tuple[str, ...], output: str) -> None:
    """Merge, and forget what is not wanted any more."""
    from balto.store.upkeep import fastest, newer_than

    wanted = [] if keep is None else [fastest(keep)]
    if days is not None:
        wanted.append(newer_than(time.time() - 86_400 * days))
    if not wanted:
        raise click.UsageError("expected --keep or --older-than")
    _rewrite(store, output, wanted)


@command.command("pool")
@click.argument("pool", type=_PATH)
@click.option("--device", type=NAME, help="Of this device alone.")
@store_option
def pool_(pool: Path, device: str | None, store: tuple[str, ...]) -> None:
    """Write the programs that this TVM measured to POOL, a recorded pool."""
    from balto.data.pool_writer import require_new, write_pool
    from balto.store.pools import pool_of

    require_new(pool)
    [one] = _stores(store, one=True)
    count = write_pool(pool_of(one, device or ""), pool)
    click.echo(f"{count} measured programs written to {pool}", err=True)
    _say_troubles([one])


def _stores(given: tuple[str, ...], *, write: bool = False, one: bool = False) -> list[Store]:
    """The stores of the command line; one's own if nothing is said.

    Raises:
        InputError: If there is no store, or one is no store.
    """
    from balto.errors import InputError
    from balto.store.folder import Store
    from balto.store.stores import OWN, VARIABLE, own_folder

    if (write or one) and len(given) > 1:
        raise click.UsageError("expected one --store")
    found = []
    for each in given or (OWN,):
        path = own_folder() if each == OWN else Path(each)
        if path is None or each == "none":
            raise InputError(f"expected a store, got none: give --store, or unset {VARIABLE}")
        found.append(Store.open(path, write=write))
    return found


def _rewrite(given: tuple[str, ...], output: str, wanted: list[Keep]) -> None:
    from balto.cli.output import print_json
    from balto.store.entry import Entry
    from balto.store.upkeep import rewrite

    def keep(entry: Entry) -> Entry | None:
        left: Entry | None = entry
        for each in wanted:
            left = each(left) if left is not None else None
        return left

    [store] = _stores(given, one=True)
    done = rewrite(store, keep)
    if output == "json":
        print_json({"files": list(done.files), "programs": list(done.programs)})
    else:
        files, programs = done.files, done.programs
        click.echo(f"{files[0]} files became {files[1]}, {programs[0]} programs {programs[1]}")
    _say_troubles([store])


def _print(rows: list[Row], output: str, *, entries: bool = False) -> None:
    from balto.cli.output import print_json, print_table
    from balto.units import seconds

    if output == "json":
        print_json({"tasks": [row.to_dict() for row in rows]})
        return
    columns = ["task", "key", "measured by", "trials", "untuned", "best", "right", "complete"]
    cells: list[list[Any]] = [
        [
            row.head.name,
            row.head.identity.key,
            str(row.head.place),
            row.trials,
            seconds(row.untuned_s),
            seconds(row.best_s),
            ", ".join(row.checked) or "-",
            "yes" if row.finished else "no",
        ]
        for row in rows
    ]
    if entries:
        columns += ["files", "failed", "host", "balto", "on"]
        for row, line in zip(rows, cells, strict=True):
            on = time.strftime("%Y-%m-%d", time.gmtime(row.head.at))
            line += [row.entries, row.failed, row.head.host or "-", row.head.balto, on]
    print_table(columns, cells)


def _say(moved: Moved, output: str, what: str) -> None:
    from balto.cli.output import print_json
    from balto.text import printable

    if output == "json":
        print_json(moved.to_dict())
    by = moved.about.get("made_by")
    lines = [
        f"{moved.programs} programs of {len(moved.tasks)} tasks {what}"
        + (f", {moved.known} entries were known" if moved.known else ""),
        f"made by {by}, measured on {'; '.join(map(str, moved.about['places']))}" if by else "",
        *moved.left_out,
    ]
    for line in filter(None, lines):
        click.echo(printable(line), err=True)


def _say_troubles(stores: list[Store]) -> None:
    from balto.text import printable

    for store in stores:
        for line in store.troubles.values():
            click.echo(printable(line), err=True)

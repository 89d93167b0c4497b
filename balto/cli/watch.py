"""``balto watch``: a page, or one print, that shows a campaign while it runs."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from balto.cli.options import Whole, format_option


@click.command("watch")
@click.argument("work_dir", type=click.Path(path_type=Path))
@click.option("--once", is_flag=True, help="Print the state now, and end.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=Whole(0, 65535), default=8384, show_default=True)
@format_option
def command(work_dir: Path, once: bool, host: str, port: int, output: str) -> None:
    """Show the campaign in WORK_DIR while it runs, without disturbing it.

    Serves a page, and /metrics for Prometheus. There is no password: whoever can reach the address
    sees the campaign.
    """
    from balto.campaign.status import status
    from balto.cli.output import print_json, require_campaign
    from balto.report.snapshot import snapshot
    from balto.report.watch import WatchServer
    from balto.text import printable

    require_campaign(work_dir)
    if once:
        found = snapshot(work_dir, status(work_dir))
        if output == "json":
            print_json(found)
        else:
            _print(found)
        return
    with WatchServer(work_dir, host, port) as server, contextlib.suppress(KeyboardInterrupt):
        words = f"{server.url} shows {work_dir}, {server.url}metrics is for Prometheus"
        click.echo(printable(words), err=True)
        server.serve_forever()


def _print(found: dict) -> None:  # type: ignore[type-arg]
    from balto.cli.output import print_table
    from balto.text import printable
    from balto.units import percent, seconds

    at = found["progress"]
    rate, left = at["rate"], at["left_s"]
    speed = f"{rate:.2f} programs/s" if rate else "speed not known yet"
    until = f", {seconds(left)} left" if left else ""
    click.echo(printable(f"{found['title']}: {found['state']}"))
    click.echo(
        f"tasks drawn {at['drawn']:,} of {at['tasks']:,}; programs measured {at['measured']:,} of "
        f"{at['planned']:,}; round {found['rounds_done']} of {found['rounds']}; {speed}{until}"
    )
    for name, rounds in found["curves"].items():
        judged = [f"{100 * each['top1']:.1f}" for each in rounds if each["top1"] is not None]
        if judged:
            click.echo(printable(f"Top-1 of {name}, round by round, %: {' '.join(judged)}"))
    if found["failures"]:
        rows = [(f["kind"], f["programs"], f["advice"]) for f in found["failures"]]
        print_table(["failed", "programs", "what it means"], rows)
    print_devices(found["devices"], found["drifts"])
    if found["accuracy"]:
        click.echo(f"Top-1 now {percent(found['accuracy']['top1'])}")


def print_devices(devices: list, drifts: list[str]) -> None:  # type: ignore[type-arg]
    """A table of a fleet's devices, and a line for each that drifts; nothing if there are none.

    Args:
        devices: rows as `balto.campaign.fleet.Fleet.to_dict` makes them.
        drifts: in words.
    """
    from balto.cli.output import print_table
    from balto.text import printable
    from balto.units import percent, seconds

    def known(value: float | None) -> float:
        return float("nan") if value is None else value

    if devices:
        print_table(
            ["device", "programs", "failed", "busy", "programs/s busy", "noise", "probes"],
            [
                (
                    *(each["device"], each["programs"], each["failed"], seconds(each["busy_s"])),
                    f"{known(each['programs_per_busy_s']):.2f}",
                    *(percent(known(each["noise"])), seconds(known(each["probe_s"]))),
                )
                for each in devices
            ],
        )
    for drift in drifts:
        click.echo(click.style(printable(drift), fg="red", bold=True))

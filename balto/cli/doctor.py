"""``balto doctor``: what this machine can do."""

from __future__ import annotations

import sys

import click

from balto.cli.options import format_option


@click.command("doctor")
@format_option
def command(output: str) -> None:
    """Check TVM's versions, targets, cores, load and the timer's noise on this machine."""
    from balto.cli.output import print_json, print_table
    from balto.doctor import examine

    checks = examine()
    healthy = all(check.ok for check in checks)
    if output == "json":
        print_json({"healthy": healthy, "checks": [check.to_dict() for check in checks]})
    else:
        print_table(
            ["", "", ""],
            [
                (
                    check.mark,
                    check.name,
                    f"{check.value}" + (f"\n{check.advice}" if check.advice else ""),
                )
                for check in checks
            ],
        )
    sys.exit(0 if healthy else 1)

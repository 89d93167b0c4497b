"""``balto settings``: what ``--measure``, ``--rpc-setting``, ``--search`` and ``--deploy`` set."""

from __future__ import annotations

import click

from balto.cli.options import format_option


@click.command("settings")
@format_option
def command(output: str) -> None:
    """List every setting that an option KEY=VALUE can change, with its default."""
    from balto.cli.output import print_json, print_table
    from balto.cli.settings import GROUPS, option_of, settings_of

    groups = {group: settings_of(group).values() for group in GROUPS}
    if output == "json":
        print_json(
            {
                group: {s.name: {"default": s.default, "meaning": s.meaning} for s in settings}
                for group, settings in groups.items()
            }
        )
        return
    for group, settings in groups.items():
        rows = [[s.name, _shown(s.default), s.meaning] for s in settings]
        print_table([option_of(group), "default", "what it is"], rows)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)

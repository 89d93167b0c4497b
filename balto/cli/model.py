"""``balto model``: what a model file was trained on."""

from __future__ import annotations

from pathlib import Path

import click

from balto.cli.options import format_option


@click.command("model")
@click.argument("file", type=click.Path(path_type=Path))
@format_option
def command(file: Path, output: str) -> None:
    """Check that a model FILE, or the starter, loads here, and show what it was trained on."""
    from balto.cli.output import print_json, print_table
    from balto.models import load, read_card
    from balto.models.starter import model_path

    path = model_path(str(file))
    card = read_card(path)
    load(path)
    about = {
        "model": card.model,
        "config": card.config,
        "features": [each.to_dict() for each in card.features],
        "trained_on": card.trained_on,
        "versions": card.versions,
    }
    if output == "json":
        print_json(about)
        return
    rows = [("model", card.model), ("features", ", ".join(map(str, card.features)))]
    rows += [(k, _short(v)) for k, v in card.trained_on.items()]
    rows += [(f"{k} version", v) for k, v in card.versions.items()]
    print_table(["", str(file)], rows)


def _short(value: object) -> str:
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)}: {', '.join(map(str, value[:3]))}, ..."
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

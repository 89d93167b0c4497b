"""The report of a campaign: one HTML page that needs nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from balto.campaign.config import Config
from balto.data.files import as_path, write_atomically
from balto.data.outcome import Status
from balto.report.captions import captions, curve_words, reference_words
from balto.report.data import HIGH_PERFORMANCE, ReportData, TaskRow, failures, gather
from balto.report.figures import all_figures
from balto.units import number, percent, seconds

#: Rows of a table that are seen at once; the others are folded.
SHOWN = 50


def write_report(work_dir: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a campaign, finished or not; returns where.

    Args:
        work_dir: the campaign's directory.
        path: the page; ``report.html`` in `work_dir` by default.

    Raises:
        CampaignError: If there is no campaign in `work_dir`, its journal is damaged, or it has no
            programs yet.
        StorageError: If the page cannot be written.
    """
    path = as_path(path) if path is not None else as_path(work_dir) / "report.html"
    write_page(render(gather(work_dir)), path)
    return path


def write_page(page: str, path: Path) -> None:
    """Write a page, in UTF-8 wherever that is done; what no UTF-8 is, of a path say, becomes ``?``.

    Raises:
        StorageError: If it cannot be written.
    """
    with write_atomically(path) as partial:
        partial.write_text(page, encoding="utf-8", errors="replace")


def environment() -> jinja2.Environment:
    """Pages of this package, with filters for numbers and their units; all text is escaped."""
    made = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        loader=jinja2.FunctionLoader(
            lambda name: files("balto.report").joinpath(name).read_text(encoding="utf-8")
        ),
    )
    made.filters.update(seconds=seconds, percent=percent, number=number)
    return made


def render(data: ReportData) -> str:
    """The page as HTML."""
    config = data.status.config
    return (
        environment()
        .get_template("page.html")
        .render(
            title=", ".join([Path(n).name for n in config.networks])
            or (config.pool and Path(config.pool).name)
            or f"{len(data.tasks)} operators",
            state=data.status.state,
            subtitle=f"{'; '.join(data.devices)}: {config.selector_spec} with {config.model_spec}, "
            f"{_budget(config)} in {config.rounds} rounds, seed {config.seed}",
            tiles=_tiles(data),
            figures={name: Markup(svg) for name, svg in all_figures(data).items()},  # noqa: S704
            captions=captions(data),
            curve_words=curve_words(),
            reference_words=data.reference and reference_words(config, data.reference.measurements),
            failures=[(k, n, Status(k).advice) for k, n in sorted(failures(data).items())],
            left_out=sorted(data.status.facts.left_out.items()),
            tasks=_worst_first(data.tasks) if len(data.tasks) > SHOWN else data.tasks,
            shown=SHOWN,
            settings=[
                (k, json.dumps(v)) for k, v in config.to_dict().items() if v not in (None, [], {})
            ],
            version=version("balto"),
            threshold=f"{HIGH_PERFORMANCE:.0%}",
        )
    )


def _worst_first(tasks: Sequence[TaskRow]) -> list[TaskRow]:
    """Tasks without a latency, then those with the lowest Top-1; those not judged come last."""
    return sorted(tasks, key=lambda t: (not math.isnan(t.best_s), math.isnan(t.top1), t.top1))


def _budget(config: Config) -> str:
    if config.budget_s is not None:
        return seconds(config.budget_s)
    return f"{config.budget:.3g} of the programs"


def _tiles(data: ReportData) -> list[tuple[str, str]]:
    last = data.status.last
    tiles = [
        (f"{len(data.tasks):,}", "tasks"),
        (f"{sum(t.programs for t in data.tasks):,}", "programs"),
    ]
    tiles.append((f"{len(data.status.facts.outcomes):,}", "measured in all"))
    tiles.append((seconds(data.status.seconds), "measuring"))
    if last is not None:
        tiles.append((f"{last.measurements:,}", "selected"))
        if last.accuracy:
            tiles.append((percent(last.accuracy.top1), "Top-1"))
            tiles.append((percent(last.accuracy.top5), "Top-5"))
    if data.reference is not None:
        tiles.append((percent(data.reference.accuracy.top1), "Top-1 of all labels"))
    return tiles

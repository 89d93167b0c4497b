"""The report of a tuned folder: one HTML page that needs nothing else (paper Figures 6 and 7)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from balto.data.files import as_path
from balto.data.outcome import Status
from balto.report.drawing import INK, MUTED, SERIES, STYLE, themed
from balto.report.page import environment, write_page
from balto.tune.status import TaskStatus, TuneStatus, tune_status
from balto.units import percent, seconds

#: Tasks whose curve is drawn, at most; the table has all.
DRAWN = 8
#: An untuned program that is slower than the best by more than this is not drawn, but said.
_SLOWEST = 8.0
#: A latency that differs by less, relative, is the same.
_SAME = 0.01


def write_tuning_report(folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of a tuning, finished or not; returns where.

    Args:
        folder: of ``balto tune``.
        path: the page; ``report.html`` in `folder` by default.

    Raises:
        CampaignError: If nothing is being tuned in `folder`, or its journal is damaged.
        StorageError: If the page cannot be written.
    """
    path = as_path(path) if path is not None else as_path(folder) / "report.html"
    write_page(render(tune_status(folder)), path)
    return path


def render(now: TuneStatus) -> str:
    """The page as HTML."""
    drawn = _drawn(now.tasks)
    with mpl.rc_context(STYLE):
        curves = [
            (task.name, Markup(themed(best_latency(task))), curve_words(task))  # noqa: S704
            for task in drawn
        ]
        network = None if now.network is None else network_rows(now.network)
        figures = {"network": network and Markup(themed(network_figure(network)))}  # noqa: S704
    failed = Counter(o.status for task in now.tasks for o in task.outcomes if not o.ok)
    more = len(now.tasks) - len(drawn)
    return (
        environment()
        .get_template("tuning.html")
        .render(
            title=_title(now),
            state=now.state,
            subtitle=_subtitle(now),
            tiles=_tiles(now),
            figures=figures,
            captions={"latency": latency_words(now.tasks), "network": network_words(network)},
            curves=curves,
            left_out=f"The {DRAWN} tasks that gained most are drawn; {more} more are in the table."
            if more
            else "",
            stock=any(task.stock for task in now.tasks),
            tasks=now.tasks,
            failures=[(kind.value, n, Status(kind).advice) for kind, n in sorted(failed.items())],
            settings=[
                (name, value if isinstance(value, str) else json.dumps(value))
                for name, value in now.config.items()
            ],
            version=version("balto"),
        )
    )


def best_latency(task: TaskStatus) -> Figure:
    """Figures 6 and 7: best latency against trials, beside stock's search where it was asked for.

    A dot is a trial; what is far slower than any best so far is above the chart.
    """
    figure = Figure(figsize=(5.1, 3.3), layout="constrained")
    ax = figure.subplots()
    ours = [o.latency_median_s if o.ok else math.nan for o in task.outcomes]
    curves = [("balto", ours, task.best_s, SERIES[0], "-")]
    if task.stock is not None:
        stock = list(task.stock.latency_s)
        curves.append(("TVM's search and model", stock, task.stock.best_s, SERIES[1], "--"))
    known = [s for _, _, best, _, _ in curves for s in best if math.isfinite(s)]
    for name, latency, best, colour, line in curves:
        x = np.arange(1, len(best) + 1)
        ax.scatter(x, latency, s=7, color=colour, alpha=0.35)
        ax.step(
            x,
            [s if math.isfinite(s) else math.nan for s in best],
            where="post",
            color=colour,
            linestyle=line,
            linewidth=2,
            label=name,
        )
    if task.untuned_s <= _SLOWEST * min(known, default=1.0):
        ax.axhline(task.untuned_s, color=INK, linewidth=1.2, linestyle=":", label="untuned")
        known.append(task.untuned_s)
    ax.set_yscale("log")
    if known:
        ax.set_ylim(min(known) * 0.93, max(known) * 1.6)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_title("Best latency against trials")
    ax.set_xlabel("trials")
    ax.legend(loc="upper right")
    return figure


def curve_words(task: TaskStatus) -> str:
    """What can be seen in a task's figure."""
    best = task.best_s[-1] if task.best_s else math.inf
    if not math.isfinite(best):
        return f"No program worked in {_trials(len(task.outcomes))}."
    words = f"{seconds(best)} after {_trials(len(task.outcomes))}"
    more = f" Untuned it takes {seconds(task.untuned_s)}." if task.untuned_s < best else ""
    if task.latency_s < task.untuned_s and abs(task.latency_s / best - 1) > _SAME:
        more += f" The program that is deployed takes {seconds(task.latency_s)}, timed again."
    if task.stock is None:
        return f"{words}.{more}"
    rival = task.stock.best
    words += f", TVM's search {seconds(rival)} after {len(task.stock.latency_s)}"
    reached = next((k for k, s in enumerate(task.best_s, 1) if s <= rival), None)
    if reached is None:
        return f"{words}; balto did not get there.{more}"
    return f"{words}; balto was there after {_trials(reached)}.{more}"


def _trials(count: int) -> str:
    return "1 trial" if count == 1 else f"{count} trials"


def latency_words(tasks: Sequence[TaskStatus]) -> str:
    """How many tasks gained, and how much."""
    ratios = [t.untuned_s / t.now_s for t in tasks if math.isfinite(t.untuned_s / t.now_s)]
    if not ratios:
        return ""
    gained = sum(ratio > 1 for ratio in ratios)
    mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
    return (
        f"{gained} of {len(ratios)} tasks are faster than untuned, {mean:.1f} times in the "
        "geometric mean."
    )


def network_rows(network: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Name and seconds of each way to run the network, those that are known."""
    rows = [("untuned", network.get("untuned_s")), ("tuned", network.get("latency_s"))]
    reference = network.get("reference")
    if isinstance(reference, Mapping):
        rows += [(str(name), value) for name, value in reference.items()]
    return [(name, float(s)) for name, s in rows if isinstance(s, int | float) and s > 0]


def network_figure(rows: Sequence[tuple[str, float]]) -> Figure:
    """Latency of the whole network, before, after, and in other runtimes; a logarithmic axis."""
    figure = Figure(figsize=(10.4, 0.9 + 0.42 * len(rows)), layout="constrained")
    ax = figure.subplots()
    for place, (name, latency_s) in enumerate(rows):
        colour = SERIES[0] if name == "tuned" else MUTED
        ax.scatter([latency_s], [place], s=60, color=colour)
        ax.annotate(
            seconds(latency_s), (latency_s, place), (9, 0), textcoords="offset points", va="center"
        )
    ax.set_yticks(range(len(rows)), [name for name, _ in rows])
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_xscale("log")
    low, high = min(s for _, s in rows), max(s for _, s in rows)
    ax.set_xlim(low / 1.5, high * 2)
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: seconds(value)))
    ax.set_title("Latency of the whole network")
    return figure


def network_words(rows: Sequence[tuple[str, float]] | None) -> str:
    """What tuning gave the network, and where it stands beside others."""
    known = dict(rows or [])
    if "tuned" not in known:
        return ""
    tuned = known.pop("tuned")
    others = [f"{name} {s / tuned:.2f} times as long" for name, s in known.items()]
    return f"{'; '.join([f'Tuned, it takes {seconds(tuned)}', *others])}."


def _drawn(tasks: Sequence[TaskStatus]) -> list[TaskStatus]:
    """Tasks whose curves are drawn: those that gained most seconds, in the order of the table."""
    measured = [task for task in tasks if task.outcomes]
    gain = {task.name: np.nan_to_num(task.untuned_s - task.now_s) for task in measured}
    first = sorted(measured, key=lambda task: -gain[task.name])[:DRAWN]
    return [task for task in measured if task in first]


def _title(now: TuneStatus) -> str:
    if now.network is not None:
        return str(now.network.get("name", "network"))
    count = len(now.tasks)
    return now.tasks[0].name if count == 1 else f"{count} tasks"


def _subtitle(now: TuneStatus) -> str:
    device = now.metadata.get("device")
    target = now.config.get("target")
    return "; ".join(str(each) for each in (device, target) if each)


def _tiles(now: TuneStatus) -> list[tuple[str, str]]:
    stock = [task.stock.seconds for task in now.tasks if task.stock]
    tiles = [
        (str(len(now.tasks)), "tasks"),
        (f"{now.trials:,}", "trials"),
        (seconds(now.seconds), "searching and measuring"),
        (percent(now.asking_share), "of that asking"),
    ]
    return [*tiles, (seconds(sum(stock)), "TVM's own search")] if stock else tiles

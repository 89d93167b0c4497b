"""The figures of a campaign's report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, PercentFormatter, StrMethodFormatter
from numpy.typing import NDArray

from balto.learn.round import Round
from balto.report.data import HIGH_PERFORMANCE, ReportData
from balto.report.drawing import INK, LINE, SERIES, STYLE, themed


def all_figures(data: ReportData) -> dict[str, str]:
    """Name -> SVG of every figure that the campaign has data for."""
    drawings: dict[str, tuple[bool, Callable[[ReportData], Figure]]] = {
        "curves": (any(r.accuracy for c in data.curves.values() for r in c), learning_curves),
        "distribution": (len(data.labels_first) > 0, label_distribution),
        "high": (np.isfinite(data.high_random), high_performance),
        "rules": (any(data.rules), selections),
    }
    with mpl.rc_context(STYLE):
        return {name: themed(draw(data)) for name, (there, draw) in drawings.items() if there}


def learning_curves(data: ReportData) -> Figure:
    """Top-1, smoothed, against measurements, and against seconds of building and measuring."""
    apart = ConstrainedLayoutEngine(wspace=0.04)  # the axes' numbers stay apart
    figure = Figure(figsize=(10.4, 4.2), layout=apart)
    axes = figure.subplots(1, 2, sharey=True)
    minutes = max((r.seconds for c in data.curves.values() for r in c), default=0) > 300
    unit = "minutes" if minutes else "seconds"
    costs: list[tuple[str, Callable[[Round], float]]] = [
        ("measurements", lambda r: r.measurements),
        (f"{unit} of building and measuring", lambda r: r.seconds / (60 if minutes else 1)),
    ]
    for ax, (label, cost) in zip(axes, costs, strict=True):
        for (name, curve), colour in zip(data.curves.items(), SERIES, strict=False):
            judged = [(cost(r), r.accuracy) for r in curve if r.accuracy]
            x = [place for place, _ in judged]
            y = np.array([a.top1_halves for _, a in judged])
            band = np.array([a.top1_halves_sd for _, a in judged])
            main = name == next(iter(data.curves))
            ax.fill_between(x, y - band, y + band, color=colour, alpha=0.16, linewidth=0)
            ax.plot(
                x,
                y,
                color=colour,
                label=name,
                marker="o",
                markersize=4,
                linewidth=2 if main else 1.6,
                linestyle="-" if main else "--",
            )
        if data.reference is not None:
            level = data.reference.accuracy.top1_halves
            label_all = f"all {data.reference.measurements:,} labels"
            ax.axhline(level, color=INK, linewidth=1.2, linestyle=":", label=label_all)
        ax.set_title(f"Top-1 against {label.split(' of ')[0]}")
        ax.set_xlabel(label)
        ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.xaxis.set_major_locator(MaxNLocator(5))  # numbers of six digits stay apart
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.6g}"))
        ax.set_xlim(left=0)
    _no_smaller_than(axes[0], 0.2)
    axes[0].legend(loc="lower right")
    return figure


def _no_smaller_than(ax: Any, span: float) -> None:
    """Show at least so much of the axis: a few points of noise should look small."""
    low, high = ax.get_ylim()
    missing = max(0.0, span - (high - low))
    top = min(high + missing / 2, max(high, 1.02))
    ax.set_ylim(max(0.0, top - max(span, high - low)), top)


def label_distribution(data: ReportData) -> Figure:
    """Figure 8: the labels chosen in the first round, and in the last."""
    figure = Figure(figsize=(5.1, 3.3), layout="constrained")
    ax = figure.subplots()
    bins = np.linspace(0, 1, 11)
    drawn = " (random)" if data.first_by_chance else ""
    series = [(f"first round{drawn}", data.labels_first, SERIES[1])]
    if len(data.labels_last):
        series.append(("last round", data.labels_last, SERIES[0]))
    for i, (name, labels, colour) in enumerate(series):
        share = np.histogram(labels, bins)[0] / len(labels)
        width = 0.1 / (len(series) + 0.4)
        ax.bar(bins[:-1] + 0.1 * 0.14 + (i + 0.5) * width, share, width, color=colour, label=name)
    ax.set_title("Relative performance of the chosen programs")
    ax.set_xlabel("latency of the task's best program / its own latency")
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend()
    return figure


def high_performance(data: ReportData) -> Figure:
    """Figure 1: the share of high-performance programs, drawn at random and chosen."""
    figure = Figure(figsize=(5.1, 3.3), layout="constrained")
    ax = figure.subplots()
    bars = [("drawn at random", data.high_random, SERIES[1])]
    if np.isfinite(data.high_selected):
        bars.append(
            (f"chosen by {data.status.config.selector_spec}", data.high_selected, SERIES[0])
        )
    for place, (_, share, colour) in enumerate(bars):
        ax.barh(place, 1, color=LINE, height=0.5)
        ax.barh(place, share, color=colour, height=0.5)
        ax.text(min(share + 0.02, 0.9), place, f"{share:.0%}", va="center", weight="bold")
    ax.set_yticks(range(len(bars)), [name for name, _, _ in bars])
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_xlim(0, 1)
    ax.set_ylim(len(bars) - 0.4, -0.6)
    ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_title("High-performance programs")
    ax.set_xlabel(f"share that reaches {HIGH_PERFORMANCE:.0%} of the task's best")
    return figure


def selections(data: ReportData) -> Figure:
    """How many programs each rule chose in each round."""
    figure = Figure(figsize=(10.4, 2.9), layout="constrained")
    ax = figure.subplots()
    names = list(dict.fromkeys(name for rules in data.rules for name in rules))
    x = np.arange(1, len(data.rules) + 1)
    bottom: NDArray[np.float64] = np.zeros(len(x))
    for name, colour in zip(names, _colours(names), strict=True):
        counts = np.array([rules.get(name, 0) for rules in data.rules], dtype=float)
        ax.bar(x, counts, 0.7, bottom=bottom, color=colour, label=name)
        bottom += counts
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(0.4, len(data.rules) + 0.6)
    ax.set_title("Selections by rule and round")
    ax.set_xlabel("round")
    ax.set_ylabel("programs")
    ax.legend(ncols=len(names), loc="upper left", bbox_to_anchor=(0.3, 1.17))
    return figure


def _colours(names: Sequence[str]) -> list[str]:
    """Random is always the grey-ish second colour; the rules take the others."""
    others = iter([SERIES[0], SERIES[2], SERIES[3]] * len(names))
    return [SERIES[1] if name == "random" else next(others) for name in names]

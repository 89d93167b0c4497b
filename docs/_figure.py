"""The figure at the head of README: Top-1 against measurements, as the evidence has it.

    python docs/_figure.py

Reads the table *What the same accuracy costs* of `docs/notes/evidence.md`, which
`experiments/seconds.py` printed, and writes `docs/figures/top1.svg`. Nothing is measured.
"""

from __future__ import annotations

import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, PercentFormatter, StrMethodFormatter

from balto.report.drawing import INK, MUTED, SERIES, STYLE, plain

HERE = Path(__file__).resolve().parent
TABLE = HERE / "notes" / "evidence.md"
FIGURE = HERE / "figures" / "top1.svg"
#: A scheme of the table, what it is called here, its colour, where its name begins.
LINES = (
    ("biased-lcmd with a starter", "chosen, from a starter", SERIES[0], (190, 0.8505)),
    ("biased-lcmd", "chosen", SERIES[1], (415, 0.825)),
    ("random", "random", MUTED, (480, 0.793)),
)


def rows(page: str) -> dict[str, list[tuple[int, float, float, float]]]:
    """Scheme -> measurements, Top-1, and the ends of its interval, a tuple a row."""
    form = r"^\| ([\w -]+?) \| (\d+) \| \d+ \| [.\d]+ \| ([.\d]+) \[([.\d]+), ([.\d]+)\] \|$"
    found: dict[str, list[tuple[int, float, float, float]]] = {}
    for scheme, count, mean, low, high in re.findall(form, page, re.M):
        found.setdefault(scheme, []).append((int(count), float(mean), float(low), float(high)))
    return found


def draw(found: dict[str, list[tuple[int, float, float, float]]]) -> Figure:
    """One line a scheme, the interval of the first, and the level of all labels."""
    figure = Figure(figsize=(7.2, 3.4), layout="constrained", facecolor="white")
    ax = figure.subplots()
    level = found["random"][-1][1]
    ax.axhline(level, color=INK, linewidth=1.2, linestyle=":")
    ax.text(190, level + 0.003, "random, all labels")
    for scheme, name, colour, where in LINES:
        x, y, low, high = zip(*found[scheme], strict=True)
        if scheme == LINES[0][0]:
            ax.fill_between(x, low, high, color=colour, alpha=0.14, linewidth=0)
        ax.plot(x, y, color=colour, marker="o", markersize=4, linewidth=2)
        ax.text(*where, name, color=colour, weight="bold")
    ax.set_xscale("log")
    ax.set_xlim(175, 4100)
    ax.set_xticks([200, 500, 1000, 2000, 3840])
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set_ylim(0.69, 0.91)
    ax.set_yticks([0.7, 0.75, 0.8, 0.85, 0.9])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_xlabel("measured programs of 94 tasks")
    ax.set_ylabel("Top-1")
    ax.set_title("Speed of the program that the model ranks first, relative to the best")
    return figure


def main() -> None:
    """Write the figure."""
    with mpl.rc_context(STYLE):
        FIGURE.write_text(plain(draw(rows(TABLE.read_text()))))


if __name__ == "__main__":
    main()
    print(FIGURE)

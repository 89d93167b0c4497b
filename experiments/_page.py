"""One page of everything that was run into a folder, drawn as `balto report` draws."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, PercentFormatter, StrMethodFormatter

from balto.data.files import write_atomically
from balto.report.drawing import INK, SERIES, STYLE, plain, themed
from balto.report.page import environment

_SECTION = """<section>
  <h2>{{ title }}</h2>
  <p class="seen">{{ words }}</p>
  {{ figure }}
{% for caption, head, rows in tables %}  <p>{{ caption }}</p>
  <table>
{% for row in [head] + rows %}{% set kind = "td" if loop.index0 else "th" %}    <tr>
{%- for cell in row %}<{{ kind }}{% if loop.index0 %} class="n"{% endif %}>{{ cell }}</{{ kind }}>
{%- endfor %}</tr>
{% endfor %}  </table>
{% endfor %}</section>
"""
_PAGE = """{% extends 'base.html' %}
{% block content %}
<header>
  <h1>Experiments</h1>
  <p>Replays of recorded pools; intervals are 95 %, by bootstrap over tasks and seeds.</p>
</header>
{% for section in sections %}{{ section }}{% endfor %}
{% endblock %}
"""

#: A caption, the names of the columns, and the rows.
Table = tuple[str, Sequence[str], Sequence[Sequence[object]]]


def publish(
    out: Path,
    name: str,
    title: str,
    words: str,
    tables: Sequence[Table],
    draw: Callable[[], Figure] | None = None,
) -> None:
    """Print the tables, keep the figure as ``OUT/NAME.svg``, and renew ``OUT/index.html``.

    Args:
        out: the folder.
        name: of the script; its section of the page is written anew.
        title: of the section.
        words: what is seen, in a sentence or two.
        tables: printed as Markdown, so that they can go into a note.
        draw: makes the figure.
    """
    print(f"# {title}\n\n{words}")
    for table in tables:
        print(f"\n{markdown(table)}")
    figure = Markup("")  # nothing to draw
    if draw is not None:
        with mpl.rc_context(STYLE):
            drawn = draw()
            figure = Markup(themed(drawn))  # noqa: S704
            (out / f"{name}.svg").write_text(plain(drawn), encoding="utf-8")
    made = environment()
    section = made.from_string(_SECTION).render(
        title=title, words=words, figure=figure, tables=tables
    )
    (out / "sections").mkdir(parents=True, exist_ok=True)
    (out / "sections" / f"{name}.html").write_text(section, encoding="utf-8")
    files = sorted((out / "sections").glob("*.html"))
    sections = [Markup(p.read_text(encoding="utf-8")) for p in files]  # noqa: S704
    with write_atomically(out / "index.html") as partial:
        page = made.from_string(_PAGE).render(title="experiments", sections=sections)
        partial.write_text(page, encoding="utf-8")
    print(f"\n{out / 'index.html'}")


def markdown(table: Table) -> str:
    """A table for people and for notes."""
    caption, head, rows = table
    lines = [" | ".join(map(str, row)) for row in (head, ["---"] * len(head), *rows)]
    return "\n".join([caption, "", *(f"| {line} |" for line in lines)])


def curves(
    series: Sequence[tuple[str, np.ndarray, np.ndarray]],
    labels: tuple[str, str],
    title: str,
    level: float | None = None,
    log: bool = False,
) -> Figure:
    """Lines of (name, x, ``3 x R``: mean, low, high), four colours by dashes.

    The first and the last have their intervals drawn; all of them would hide each other.
    """
    figure = Figure(figsize=(7.6, 4.4), layout="constrained")
    ax = figure.subplots()
    for place, (name, x, y) in enumerate(series):
        colour = SERIES[place % len(SERIES)]
        dash = ("-", "--", ":")[place // len(SERIES) % 3]
        if name in (series[0][0], series[-1][0]):
            ax.fill_between(x, y[1], y[2], color=colour, alpha=0.14, linewidth=0)
        ax.plot(x, y[0], dash, color=colour, label=name, marker="o", markersize=3, linewidth=1.8)
    if level is not None:
        ax.axhline(level, color=INK, linewidth=1.2, linestyle=":", label="all labels")
    if log:
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        ax.xaxis.set_minor_formatter(NullFormatter())
    if "share" in labels[0]:
        ax.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.set_title(title)
    ax.set_xlabel(labels[0])
    ax.set_ylabel(labels[1])
    ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    ax.legend(loc="lower right")
    return figure

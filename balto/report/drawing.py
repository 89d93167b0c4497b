"""Figures as SVG that takes its colours and its font from the page around it.

matplotlib draws with marker colours; `themed` turns them into CSS variables, so that one figure
serves both a light and a dark page. `plain` gives them the light page's colours, for a figure that
stands alone.
"""

from __future__ import annotations

import io
import re
from typing import Any

from matplotlib.figure import Figure

#: Marker colour -> CSS variable of the page.
THEME = {
    "#0a0b0c": "--ink",
    "#1a1b1c": "--muted",
    "#2a2b2c": "--line",
    "#3a3b3c": "--first",
    "#4a4b4c": "--second",
    "#5a5b5c": "--third",
    "#6a6b6c": "--fourth",
}
INK, MUTED, LINE, *SERIES = THEME
#: What matplotlib is told to draw with.
STYLE: dict[Any, Any] = {
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "font.family": "sans-serif",
    "font.size": 10,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "balto",
    "text.color": INK,
    "text.parse_math": False,  # a name with dollar signs is a name
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}

#: The colours of the light page, as in `base.html`.
LIGHT = {
    "--ink": "#16202c",
    "--muted": "#5b6775",
    "--line": "#dfe4ea",
    "--first": "#0b6bcb",
    "--second": "#e08a00",
    "--third": "#2b9a66",
    "--fourth": "#8e4ec6",
}


def themed(figure: Figure) -> str:
    """The figure as SVG with the page's colours and font, and no size of its own."""
    svg = _svg(figure)
    for marker, variable in THEME.items():
        svg = svg.replace(marker, f"var({variable})")
    svg = re.sub(r"font-family: [^;\"]*", "font-family: var(--font)", svg)
    # The page decides how wide it is; the viewBox keeps its shape.
    return re.sub(
        r'(<svg[^>]*?) (?:width|height)="[^"]*" (?:width|height)="[^"]*"', r"\1", svg, count=1
    )


def plain(figure: Figure) -> str:
    """The figure as SVG that stands alone, on white."""
    svg = _svg(figure)
    for marker, variable in THEME.items():
        svg = svg.replace(marker, LIGHT[variable])
    head, tag, rest = svg.partition(">")
    return f'{head}{tag}<rect width="100%" height="100%" fill="#ffffff"/>{rest}'


def _svg(figure: Figure) -> str:
    file = io.StringIO()
    options: dict[str, Any] = {"format": "svg", "transparent": True, "metadata": {"Date": None}}
    figure.savefig(file, **options)
    svg = file.getvalue()
    return re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)

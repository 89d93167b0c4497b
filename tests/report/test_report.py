"""The page and its figures: from a real campaign, for both themes, with nothing to fetch."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from balto.campaign.config import Config
from balto.campaign.run import Campaign
from balto.report.data import gather
from balto.report.figures import all_figures
from balto.report.page import render
from balto.units import percent, seconds


@pytest.fixture
def campaign(tmp_path, pool_path):
    """A finished campaign with a comparison."""
    config = Config(pool=str(pool_path), budget=0.3, rounds=3, test_share=0.25, compare="random")
    with Campaign(tmp_path / "w", config) as running:
        running.run()
    return tmp_path / "w"


def test_the_page_shows_what_was_measured(campaign):
    data = gather(campaign)
    page = render(data)
    assert page.count("<svg") == 4
    assert f"{len(data.status.facts.outcomes):,}" in page
    assert percent(data.status.last.accuracy.top1) in page
    for row in data.tasks:
        assert row.name in page
        assert seconds(row.best_s) in page
    assert "build_error" in page


def test_the_page_fetches_nothing_and_knows_both_themes(campaign):
    page = render(gather(campaign))
    addresses = set(re.findall(r"https?://[^\"' )]+", page))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in page
    used = set(re.findall(r"var\((--[a-z]+)\)", page))
    for theme in page.split("@media (prefers-color-scheme: dark)")[:2]:
        defined = set(re.findall(r"(--[a-z]+):", theme))
        assert used - {"--font"} <= defined


def test_figures_are_well_formed_and_have_no_colour_of_their_own(campaign):
    for name, svg in all_figures(gather(campaign)).items():
        ET.fromstring(svg)
        colours = set(re.findall(r"#[0-9a-f]{6}", svg))
        assert not colours, f"{name} has {colours}"


def test_the_labels_of_figure_8_are_those_of_the_first_and_the_last_round(campaign):
    data = gather(campaign)
    facts = data.status.facts
    for labels, number in ((data.labels_first, 1), (data.labels_last, 3)):
        picks, _ = facts.selections["balto", number]
        assert len(labels) == sum(map(len, picks.values()))
        assert ((labels >= 0) & (labels <= 1)).all()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.2e-5, "12 us"),
        (0.0123, "12.3 ms"),
        (4.56, "4.56 s"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (float("nan"), "-"),
    ],
)
def test_seconds_carry_their_unit(value, text):
    assert seconds(value) == text

"""The page and its figures: from real campaigns, for both themes, with nothing to fetch.

What the figures are drawn from is computed again here, program by program, from the journal.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import balto
from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.status import status
from balto.data.pool_reader import read_pool
from balto.data.pool_writer import write_pool
from balto.journal.file import encode_all, read
from balto.learn.metrics import evaluate, relative_throughput
from balto.learn.split import Split
from balto.learn.tmax import TMaxEstimator
from balto.report.captions import captions
from balto.report.data import gather
from balto.report.figures import all_figures, learning_curves
from balto.report.page import render
from balto.testing import made_up_pool
from balto.units import percent, seconds

SETTINGS = {"budget": 0.3, "rounds": 3, "test_share": 0.25}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A pool of three tasks, each of which says how much work it is."""
    pool = made_up_pool()
    pool.tasks = [replace(task, flop=1e6 * (k + 1)) for k, task in enumerate(pool.tasks)]
    path = tmp_path_factory.mktemp("recorded") / "pool"
    write_pool(pool, path)
    return path


@pytest.fixture(scope="module")
def campaign(tmp_path_factory, recorded):
    """A finished campaign with a comparison."""
    work_dir = tmp_path_factory.mktemp("campaign") / "w"
    with Campaign(
        work_dir, Config(pool=str(recorded), selector="balto", compare="random", **SETTINGS)
    ) as running:
        running.run()
    return work_dir


@pytest.fixture(scope="module")
def journal(campaign):
    """Its records."""
    return list(read(campaign / "journal.jsonl"))


def latencies(journal):
    """Latency of every measured program; None if it failed."""
    return {
        (r["task"], r["program"]): r["latency_s"] for r in journal if r["kind"] == "measurement"
    }


def performance(journal):
    """Best latency of the task over the program's own; 0 if it failed."""
    known = latencies(journal)
    best = {
        name: min(s for (task, _), s in known.items() if task == name and s is not None)
        for name, _ in known
    }
    return {key: 0.0 if s is None else best[key[0]] / s for key, s in known.items()}


def picks(journal, selector, *rounds):
    """What a selector chose in some rounds."""
    return [
        (task, program)
        for r in journal
        if r["kind"] == "selection" and r["selector"] == selector and r["round"] in rounds
        for task, programs in r["picks"].items()
        for program in programs
    ]


def share_of_fast(journal, programs):
    return np.mean([performance(journal)[p] >= 0.5 for p in programs])


@pytest.mark.parametrize(("attribute", "number"), [("labels_first", 1), ("labels_last", 3)])
def test_the_labels_of_figure_8_are_those_of_the_first_and_the_last_round(
    campaign, journal, attribute, number
):
    expected = [performance(journal)[p] for p in picks(journal, "balto", number)]
    assert 0.0 in expected or len(set(expected)) > 5  # failures count, and programs differ
    np.testing.assert_allclose(sorted(getattr(gather(campaign), attribute)), sorted(expected))


def test_figure_1_compares_the_held_out_programs_with_those_that_the_model_chose(
    campaign, journal, recorded
):
    data = gather(campaign)
    pool = read_pool(recorded)
    split = Split.of(pool, SETTINGS["test_share"], 0)
    held_out = [(t.name, p) for t, ids in zip(pool.tasks, split.test, strict=True) for p in ids]
    assert data.high_random == share_of_fast(journal, held_out)
    assert data.high_selected == share_of_fast(journal, picks(journal, "balto", 2, 3))
    assert data.high_random != data.high_selected


def test_without_held_out_programs_figure_1_takes_the_random_round(tmp_path, recorded):
    config = Config(pool=str(recorded), selector="balto", budget=0.3, rounds=3, test_share=0)
    with Campaign(tmp_path / "w", config) as running:
        running.run()
    journal, data = list(read(tmp_path / "w" / "journal.jsonl")), gather(tmp_path / "w")
    assert data.high_random == share_of_fast(journal, picks(journal, "balto", 1))
    assert data.reference is None
    assert "curves" not in all_figures(data)


def test_what_is_chosen_at_random_is_not_said_to_be_chosen_by_a_model(tmp_path, recorded):
    with Campaign(
        tmp_path / "w", Config(pool=str(recorded), selector="random", **SETTINGS)
    ) as running:
        running.run()
    assert math.isnan(gather(tmp_path / "w").high_selected)


def test_a_first_round_by_a_rule_is_not_said_to_be_random(tmp_path, recorded):
    with Campaign(
        tmp_path / "w", Config(pool=str(recorded), selector="gsx", **SETTINGS)
    ) as running:
        running.run()
    data = gather(tmp_path / "w")
    assert not data.first_by_chance
    assert "random" not in captions(data)["distribution"]


def test_rules_are_counted_round_by_round(campaign, journal):
    expected = [
        r["rules"] for r in journal if r["kind"] == "selection" and r["selector"] == "balto"
    ]
    data = gather(campaign)
    assert data.rules == expected
    assert data.rules[0] == {"random": len(picks(journal, "balto", 1))}
    total = sum(sum(rules.values()) for rules in expected)
    assert total == len(picks(journal, "balto", 1, 2, 3))
    assert f"Of {total} selected programs" in captions(data)["rules"]


def test_the_table_of_tasks(campaign, journal, recorded):
    chosen = Counter(task for task, _ in picks(journal, "balto", 1, 2, 3))
    known = latencies(journal)
    for k, (row, task) in enumerate(
        zip(gather(campaign).tasks, read_pool(recorded).tasks, strict=True)
    ):
        mine = [s for (name, _), s in known.items() if name == task.name]
        best = min(s for s in mine if s is not None)
        assert (row.name, row.weight, row.programs) == (task.name, task.weight, 60)
        assert row.selected == chosen[task.name] > 0
        assert row.failed == mine.count(None)
        assert row.best_s == best
        assert row.gflops == pytest.approx(1e6 * (k + 1) / best / 1e9)
        assert row.high == share_of_fast(journal, [p for p in known if p[0] == task.name])


def test_the_level_of_all_labels_of_a_recorded_pool_is_that_of_its_whole_training_share(
    campaign, recorded
):
    pool, model = read_pool(recorded), balto.models.XGB(seed=0)
    split = Split.of(pool, 0.25, 0)
    train, test = (
        np.concatenate([ids + pool.offsets[k] for k, ids in enumerate(side)])
        for side in (split.train, split.test)
    )
    task = pool.task_of_program
    good = train[np.isfinite(pool.latency_s[train])]
    y = relative_throughput(pool.latency_s[good], task[good])
    features = pool.features.take(good)
    shares = TMaxEstimator().shares(features, y, task[good], model.sets_for(features), 0)
    model.fit(features, shares * y, task[good])
    scores = model.predict(pool.features)[test]
    expected, _ = evaluate(scores, np.clip(scores, 0, 1), pool.latency_s[test], task[test])
    found = gather(campaign).reference
    assert found.measurements == len(train) == 3 * 45
    assert found.accuracy == expected
    measured = len(status(campaign).facts.outcomes)
    assert measured < 180  # it cost the campaign nothing


def test_a_live_campaign_compares_with_all_that_it_measured_outside_the_test_share(
    campaign, journal, recorded
):
    """Its programs have no labels but those: the same pool with all others forgotten."""
    pool = read_pool(recorded)
    measured = [status(campaign).facts.outcomes.of(t.name, 60).measured for t in pool.tasks]
    from balto.learn.all_labels import all_labels
    from balto.learn.store import OutcomeStore
    from balto.models import create

    settings = balto.LoopSettings(test_share=0.25)
    store = OutcomeStore(status(campaign).facts.outcomes)
    known = all_labels(pool, store, create("xgb", 0), settings)
    both = set(picks(journal, "balto", 1, 2, 3)) | set(picks(journal, "random", 1, 2, 3))
    assert known.measurements == len(both) < 3 * 45
    assert len(store) == sum(m.sum() for m in measured)  # nothing was measured for it


def test_the_level_is_journalled_once_and_a_resumed_campaign_finds_it(tmp_path, recorded):
    config = Config(pool=str(recorded), selector="balto", **SETTINGS)
    with Campaign(tmp_path / "w", config) as running:
        running.run()
    first = status(tmp_path / "w").facts.reference
    with Campaign(tmp_path / "w", config) as running:
        running.run()
    records = list(read(tmp_path / "w" / "journal.jsonl"))
    assert [r["kind"] for r in records].count("reference") == 1
    assert status(tmp_path / "w").facts.reference == first


def test_a_campaign_that_was_finished_without_the_level_gets_it_when_it_is_resumed(
    campaign, recorded, tmp_path
):
    import shutil

    shutil.copytree(campaign, tmp_path / "w")
    path = tmp_path / "w" / "journal.jsonl"
    kept = [record for record in read(path) if record["kind"] != "reference"]
    path.write_bytes(encode_all(kept))
    assert status(tmp_path / "w").facts.reference is None
    config = Config(pool=str(recorded), selector="balto", compare="random", **SETTINGS)
    with Campaign(tmp_path / "w", config) as running:
        running.run()
    assert status(tmp_path / "w").facts.reference == status(campaign).facts.reference


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


def test_every_figure_has_its_sentence_with_its_own_numbers(campaign):
    data = gather(campaign)
    said, page = captions(data), render(data)
    assert set(said) == set(all_figures(data))
    last = data.curves["balto"][-1]
    for number in (last.accuracy.top1_halves, data.reference.accuracy.top1_halves):
        assert percent(number) in said["curves"]
    assert f"with {last.measurements} measurements ({seconds(last.seconds)})" in said["curves"]
    assert percent(float(np.median(data.labels_last))) in said["distribution"]
    assert percent(data.high_random) in said["high"]
    assert percent(data.high_selected) in said["high"]
    for sentence in said.values():
        assert sentence.endswith(".")
        assert sentence.replace("'", "&#39;") in page


@pytest.mark.parametrize(("apart", "words"), [(0.03, "does not tell"), (0.2, "further apart")])
def test_two_ends_within_the_band_are_not_told_apart(campaign, apart, words):
    data = gather(campaign)
    for selector, top1 in (("balto", 0.5 + apart), ("random", 0.5)):
        curve = data.curves[selector]
        accuracy = replace(curve[-1].accuracy, top1_halves=top1, top1_halves_sd=0.04)
        curve[-1] = replace(curve[-1], accuracy=accuracy)
    assert words in captions(data)["curves"]


def test_the_curve_is_the_smoothed_one_and_the_level_is_drawn(campaign):
    data = gather(campaign)
    curve = data.curves["balto"]
    data.curves.clear()
    data.curves["balto"] = [
        replace(r, accuracy=replace(r.accuracy, top1=0.9, top1_halves=0.1, top1_halves_sd=0.01))
        for r in curve
    ]
    for ax in learning_curves(data).axes:
        curve, level = ax.lines
        assert set(curve.get_ydata()) == {0.1}
        band = ax.collections[0].get_paths()[0].vertices[:, 1]
        assert (band.min(), band.max()) == pytest.approx((0.09, 0.11))
        assert set(level.get_ydata()) == {data.reference.accuracy.top1_halves}
    assert "all 135 labels" in all_figures(data)["curves"]


def test_the_two_panels_show_both_costs(campaign):
    data = gather(campaign)
    by_measurements, by_seconds = learning_curves(data).axes
    for i, curve in enumerate(data.curves.values()):
        assert by_measurements.lines[i].get_xdata().tolist() == [r.measurements for r in curve]
        assert by_seconds.lines[i].get_xdata().tolist() == [r.seconds for r in curve]


def test_the_page_fetches_nothing_and_knows_both_themes(campaign):
    page = render(gather(campaign))
    addresses = set(re.findall(r"https?://[^\"' )]+", page))
    assert addresses <= {"http://www.w3.org/1999/xlink", "http://www.w3.org/2000/svg"}
    assert "prefers-color-scheme: dark" in page
    used = set(re.findall(r"var\((--[a-z]+)\)", page))
    for theme in page.split("@media (prefers-color-scheme: dark)")[:2]:
        defined = set(re.findall(r"(--[a-z]+):", theme))
        assert used - {"--font"} <= defined


def test_names_from_outside_are_text(campaign):
    data = gather(campaign)
    strange = "<b>[/x] $\\frac$ & co</b>"
    data.curves[strange] = data.curves.pop("balto")
    data.devices[:] = [strange]
    data.tasks[0] = replace(data.tasks[0], name=strange)
    page = render(data)
    assert "<b>[/x]" not in page
    assert page.count("&lt;b&gt;[/x] $\\frac$ &amp; co&lt;/b&gt;") >= 3  # head, table, legend


def test_figures_are_well_formed_and_have_no_colour_of_their_own(campaign):
    for name, svg in all_figures(gather(campaign)).items():
        ET.fromstring(svg)
        colours = set(re.findall(r"#[0-9a-f]{6}", svg))
        assert not colours, f"{name} has {colours}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (3.68e-8, "36.8 ns"),
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


@pytest.mark.slow
def test_many_tasks_are_folded_the_worst_first(campaign):
    """As 2,307 are: fifty are seen at once, and none is missing."""
    data = gather(campaign)
    top1 = np.random.default_rng(0).permutation(120) / 120
    made = [
        replace(data.tasks[0], name=f"task {k}", top1=math.nan if k == 3 else float(top1[k]))
        for k in range(120)
    ]
    made[7] = replace(made[7], best_s=math.nan)
    page = render(replace(data, tasks=made))
    seen, folded = page.split("<details>")
    names = re.compile(r"<code>(task \d+)</code>")
    worst = sorted(set(range(120)) - {3, 7}, key=lambda k: top1[k])
    order = [f"task {k}" for k in [7, *worst, 3]]
    assert names.findall(seen) == order[:50]
    assert names.findall(folded) == order[50:]
    assert "70 more" in folded
    assert "<details>" not in render(replace(data, tasks=made[:50]))
    assert names.findall(render(replace(data, tasks=made[:50]))) == [t.name for t in made[:50]]


def test_many_tasks_that_were_left_out_are_folded(campaign):
    data = gather(campaign)
    data.status.facts.left_out.update({f"op <{k}>": f"reason {k}" for k in range(60)})
    page = render(data)
    assert page.index("reason 9<") > page.index("<details>") > page.index("reason 10<")
    assert "10 more" in page
    assert "op <" not in page

"""`balto status` and the report of a tuned folder, from journals as a tuning writes them."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

import balto
from balto.data.outcome import Outcome, Status
from balto.errors import CampaignError
from balto.journal.file import Journal
from balto.journal.records import outcome_to_record
from balto.metaschedule.stock import STOCK, StockSearch
from balto.report.tuning import DRAWN, best_latency, curve_words, render, write_tuning_report
from balto.search.finalists import running_best
from balto.tune.export import pool_of
from balto.tune.status import TaskStatus, is_tuning, tune_status

CONFIG = {"kind": "config", "operators": ["a", "b"], "trials": 3, "target": "{}", "seed": 0}


def took(milliseconds: float) -> Outcome:
    return Outcome(Status.OK, milliseconds / 1e3, milliseconds / 1e3, 0.1, 0.1, 3, 0.0)


FAILED = Outcome(Status.RUN_TIMEOUT, message="too long")


def trial(task: str, trace: str, outcome: Outcome) -> dict[str, object]:
    return {"kind": "trial", "task": task, "trace": trace, **outcome_to_record(outcome)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two tasks: one of three trials in two batches, one that has just begun."""
    with Journal.open(tmp_path / "journal.jsonl") as journal:
        for record in (
            CONFIG,
            trial("a", "", took(8)),
            trial("a", "[1]", took(4)),
            trial("a", "[2]", FAILED),
            {"kind": "batch", "task": "a", "seconds": 3.0, "asking_s": 1.0},
            trial("a", "[3]", took(2)),
            {"kind": "batch", "task": "a", "seconds": 2.0, "asking_s": 0.5},
            trial("b", "", FAILED),
        ):
            journal.append(record)
    return tmp_path


def finish(folder: Path, **more: object) -> None:
    operators = {"a": {"latency_s": 0.002, "untuned_s": 0.008}, "b": {"latency_s": 0.004}}
    (folder / "tuned.json").write_text(json.dumps({"operators": operators, **more}))


def add_stock(folder: Path, *latency_s: float | None) -> None:
    with Journal.open(folder / STOCK) as journal:
        record = {"task": "a", "trace": "[]", "latency_s": latency_s, "seconds": 9.0}
        journal.append({"kind": "stock", **record})


def test_what_was_measured_is_told_by_task(folder: Path) -> None:
    now = tune_status(folder)
    a, b = now.tasks
    assert (now.state, now.trials, now.seconds, now.asking_share) == ("interrupted", 3, 5.0, 0.3)
    assert (a.name, a.untuned_s, a.failed, a.seconds, a.asking_s) == ("a", 0.008, 1, 5.0, 1.5)
    assert a.best_s == [0.004, 0.004, 0.002]
    assert a.now_s == 0.002
    assert math.isnan(b.untuned_s)
    assert math.isnan(b.now_s)
    assert not b.outcomes


def test_the_deployed_latency_counts_once_it_is_finished(folder: Path) -> None:
    finish(folder)
    now = tune_status(folder)
    assert now.state == "finished"
    assert [task.now_s for task in now.tasks] == [0.002, 0.004]


def test_a_folder_that_is_being_written_is_running(folder: Path) -> None:
    with Journal.open(folder / "journal.jsonl"):
        assert tune_status(folder).state == "running"
    assert tune_status(folder).state == "interrupted"


def test_what_watches_a_campaign_says_what_shows_a_tuning(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "balto", "watch", "--once", folder],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"balto status {folder} shows it" in done.stderr


def test_a_campaign_or_nothing_is_not_a_tuning(tmp_path: Path, folder: Path) -> None:
    assert is_tuning(folder)
    (folder / "config.json").write_text("{}")  # as a campaign has
    assert not is_tuning(folder)
    with pytest.raises(balto.BaltoError, match="expected a folder of balto tune"):
        tune_status(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("latency_s", "best_s"),
    [
        ([], []),
        ([math.nan, 3.0, math.nan, 2.0, 5.0], [math.inf, 3.0, 3.0, 2.0, 2.0]),
    ],
)
def test_the_running_best_passes_over_failures(latency_s: list[float], best_s: list[float]) -> None:
    assert running_best(latency_s) == best_s


def test_the_command_prints_a_table_and_json(folder: Path) -> None:
    add_stock(folder, None, 0.003)
    asked = [sys.executable, "-m", "balto", "status", str(folder)]
    done = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=True)
    assert "interrupted" in done.stdout
    assert "3 trials in 5 s, 30.0% of them asking" in done.stdout
    assert "3 ms in 9 s" in done.stdout
    done = subprocess.run(
        [*asked, "-f", "json"], capture_output=True, text=True, timeout=60, check=True
    )
    found = json.loads(done.stdout)
    assert found["state"] == "interrupted"
    assert found["tasks"]["a"]["latency_s"] == 0.002
    assert found["tasks"]["a"]["stock_s"] == 0.003
    assert found["tasks"]["b"]["untuned_s"] is None


@pytest.mark.parametrize(
    ("rival", "words"),
    [
        (0.003, "2 ms after 3 trials, TVM's search 3 ms after 2; balto was there after 3 trials."),
        (0.004, "balto was there after 1 trial."),
        (0.001, "balto did not get there."),
    ],
)
def test_a_curve_says_when_it_passed_the_rival(folder: Path, rival: float, words: str) -> None:
    add_stock(folder, None, rival)
    assert words in curve_words(tune_status(folder).tasks[0])


def test_an_untuned_program_that_is_faster_is_seen_and_said() -> None:
    task = TaskStatus(name="a", untuned_s=0.001, outcomes=[took(80)])
    assert curve_words(task) == "80 ms after 1 trial. Untuned it takes 1 ms."
    (axes,) = best_latency(task).axes
    low, high = axes.get_ylim()
    assert low < 0.001 < 0.08 < high


def test_what_timing_again_has_changed_is_said() -> None:
    task = TaskStatus(name="a", untuned_s=0.1, latency_s=0.004, outcomes=[took(5), took(3)])
    words = "3 ms after 2 trials. The program that is deployed takes 4 ms, timed again."
    assert curve_words(task) == words
    task.latency_s = 0.00301
    assert curve_words(task) == "3 ms after 2 trials."


def test_a_curve_that_began_far_slower_is_whole() -> None:
    (axes,) = best_latency(TaskStatus(name="a", outcomes=[took(200), took(2), took(90)])).axes
    low, high = axes.get_ylim()
    assert low < 0.002 < 0.2 < high


def figures(page: str) -> list[ET.Element]:
    parts = page.split("<svg")[1:]
    return [ET.fromstring("<svg" + part[: part.index("</svg>") + 6]) for part in parts]


def test_the_page_is_whole_and_fetches_nothing(folder: Path) -> None:
    add_stock(folder, None, 0.003)
    finish(
        folder, network={"name": "net <&>", "untuned_s": 0.1, "latency_s": 0.01, "reference": {}}
    )
    path = write_tuning_report(folder)
    page = path.read_text()
    assert len(figures(page)) == 2  # the network, and one task: the other has no trial yet
    assert "net &lt;&amp;&gt;" in page
    assert "Tuned, it takes 10 ms; untuned 10.00 times as long." in page
    assert "TVM&#39;s search 3 ms after 2" in page
    assert "http" not in page.replace("http://www.w3.org", "")
    assert subprocess.run(
        [sys.executable, "-m", "balto", "report", str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.split() == [str(path)]


def test_only_the_tasks_that_gained_most_are_drawn(folder: Path) -> None:
    now = tune_status(folder)
    now.tasks[:] = [
        TaskStatus(name=f"t{k}", untuned_s=1.0 + k, outcomes=[took(500)]) for k in range(DRAWN + 2)
    ]
    page = render(now)
    assert len(figures(page)) == DRAWN
    assert "<h2><code>t1</code></h2>" not in page
    assert "<h2><code>t2</code></h2>" in page
    assert "2 more are in the table" in page


@pytest.mark.parametrize(
    ("name", "record", "words"),
    [
        ("journal.jsonl", {"kind": "trial", "task": "a"}, "'trace' is missing"),
        ("journal.jsonl", {"kind": "batch", "task": "a", "seconds": 1.0}, "'asking_s' is missing"),
        ("journal.jsonl", {**trial("a", "[4]", took(1)), "status": "odd"}, "'odd'"),
        (
            STOCK,
            {"kind": "stock", "task": "a", "trace": "[]", "seconds": 1.0},
            "'latency_s' is missing",
        ),
        (STOCK, {"kind": "stock", "task": "a", "trace": "", "latency_s": [-1], "seconds": 1}, "-1"),
    ],
)
def test_a_record_that_is_whole_but_wrong_costs_one_line(
    folder: Path, name: str, record: dict[str, object], words: str
) -> None:
    with Journal.open(folder / name) as journal:
        journal.append(record)
    with pytest.raises(CampaignError) as caught:
        tune_status(folder)
    assert name in str(caught.value)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_folder_costs_one_line(folder: Path) -> None:
    (folder / "tuned.json").write_text("{")
    with pytest.raises(balto.BaltoError, match=r"tuned\.json is damaged"):
        tune_status(folder)


def test_trials_that_make_no_pool_cost_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(balto.BaltoError, match=r"\A[^\n]*did not keep the tasks[^\n]*\Z"):
        pool_of(folder)
    with Journal.open(folder / "journal.jsonl") as journal:
        journal.append({"kind": "trial", "task": "a"})
    with pytest.raises(balto.BaltoError, match=r"\A[^\n]*line 9[^\n]*\Z"):
        pool_of(folder)
    other = tmp_path / "other"
    other.mkdir()
    with Journal.open(other / "journal.jsonl") as journal:
        journal.append(CONFIG)
    with pytest.raises(balto.BaltoError, match="has no trials yet"):
        pool_of(other)


@pytest.mark.slow
def test_stocks_search_measures_so_many_programs_and_they_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("tvm")
    from balto.metaschedule.stock import compare_with_stock, read_stock

    [task] = balto.extract_tasks([], ["matmul:32x32x32"]).tasks
    [(name, found)] = compare_with_stock(tmp_path, [task], trials=6)
    assert name == task.name
    assert isinstance(found, StockSearch)
    assert len(found.latency_s) == 6
    assert 0 < found.best < 0.01
    assert json.loads(found.trace)
    assert read_stock(tmp_path) == {name: found}
    before = (tmp_path / STOCK).read_bytes()
    assert list(compare_with_stock(tmp_path, [task], trials=6)) == [(name, found)]
    assert (tmp_path / STOCK).read_bytes() == before, "it was not searched again"

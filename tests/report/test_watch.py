"""The page and the metrics of a run, from its journal alone and without disturbing it."""

from __future__ import annotations

import json
import re
import shutil
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.facts import Facts
from balto.campaign.status import Watcher, status
from balto.data.pool_writer import write_pool
from balto.errors import CampaignError, InputError
from balto.journal.file import Follower, Journal, encode_all, read
from balto.report.metrics import metrics_text
from balto.report.watch import WatchServer, snapshot
from balto.testing import made_up_pool


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished campaign of three tasks of sixty programs."""
    folder = tmp_path_factory.mktemp("finished")
    write_pool(made_up_pool(), folder / "pool")
    config = Config(
        pool=str(folder / "pool"),
        budget=0.4,
        rounds=4,
        test_share=0.25,
        selector="gsx",
        compare="random",
    )
    with Campaign(folder / "w", config) as campaign:
        campaign.run()
    return folder / "w"


@pytest.fixture
def work_dir(tmp_path: Path, finished: Path) -> Path:
    """The same, to be written to."""
    return Path(shutil.copytree(finished, tmp_path / "w"))


@pytest.fixture
def address(work_dir: Path) -> Iterator[str]:
    with WatchServer(work_dir) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def get(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.headers["Content-Type"], answer.read().decode()


def test_it_serves_a_page_its_data_and_metrics_and_nothing_else(
    address: str, work_dir: Path
) -> None:
    kind, page = get(f"{address}/")
    assert kind.startswith("text/html")
    assert "http" not in page.replace("http://www.w3.org", ""), "the page needs nothing else"
    data = json.loads(get(f"{address}/data.json?now")[1])
    now = status(work_dir)
    assert data["state"] == "finished"
    assert data["progress"]["measured"] == len(now.facts.outcomes) == data["progress"]["planned"]
    assert [r["round"] for r in data["curves"]["gsx"]] == [1, 2, 3, 4]
    assert set(data["curves"]) == {"gsx", "random"}
    kind, text = get(f"{address}/metrics")
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert f'balto_measurements_total{{status="ok"}} {now.statuses["ok"]}\n' in text
    for path in ("/journal.jsonl", "/../w/journal.jsonl", "/favicon.ico"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            get(address + path)


def test_metrics_are_prometheus_text(work_dir: Path) -> None:
    lines = metrics_text(status(work_dir)).splitlines()
    sample = re.compile(r'[a-z_0-9]+(\{[a-z]+="[^"\n]*"(,[a-z]+="[^"\n]*")*\})? -?[0-9.e+-]+')
    for line in lines:
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(families) == len(set(families)) > 8


def test_what_is_planned_is_what_is_measured_in_the_end(work_dir: Path, tmp_path: Path) -> None:
    """At every moment of a replay without a second selector, the plan is exact."""
    config = Config(pool=status(work_dir).config.pool, budget=0.3, rounds=3)
    with Campaign(tmp_path / "one", config) as campaign:
        campaign.run()
    done = status(tmp_path / "one")
    records = list(read(tmp_path / "one" / "journal.jsonl"))
    for cut in range(10, len(records) - 1, 7):
        (tmp_path / "cut").mkdir(exist_ok=True)
        part = encode_all(records[:cut])
        (tmp_path / "cut" / "journal.jsonl").write_bytes(part)
        at = status(tmp_path / "cut").progress
        assert at.planned == len(done.facts.outcomes)
        assert at.measured == sum(r["kind"] == "measurement" for r in records[:cut])


def test_a_watcher_reads_each_record_once_and_a_torn_line_later(
    work_dir: Path, tmp_path: Path
) -> None:
    whole = (work_dir / "journal.jsonl").read_bytes()
    path = tmp_path / "journal.jsonl"
    follower, facts, seen = Follower(path), Facts(), 0
    facts = facts.follow(follower)  # it is not there yet
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(whole), 997):  # anywhere in a line
            file.write(whole[start : start + 997])
            facts = facts.follow(follower)
            assert len(facts.outcomes) >= seen
            seen = len(facts.outcomes)
    assert facts.finished
    assert seen == len(Facts.read(path).outcomes)
    path.unlink()
    path.write_bytes(whole[: len(whole) // 2])  # another file in its place: all begins anew
    assert len(facts.follow(follower).outcomes) < seen


@pytest.mark.slow
def test_watching_does_not_keep_a_campaign_from_starting(work_dir: Path) -> None:
    watcher, over = Watcher(work_dir), threading.Event()

    def look() -> None:
        while not over.is_set():
            watcher.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(200):
            Journal.open(work_dir / "journal.jsonl").close()
    finally:
        over.set()
        thread.join()


def test_a_name_from_outside_is_escaped(work_dir: Path) -> None:
    now = status(work_dir)
    outcome = now.facts.outcomes.of("op0_8", 60)
    assert outcome.measured.any()
    record = next(r for r in read(work_dir / "journal.jsonl") if r["kind"] == "measurement")
    evil = 'a"}\n# x <script>'
    now.facts.add({**record, "device": evil, "probe_s": 0.01, "measure_s": 1.0})
    text = metrics_text(now)
    assert 'device="a\\"}\\n# x <script>"' in text
    assert snapshot(work_dir, now)["devices"][0]["device"] == evil


def test_what_cannot_be_watched_is_refused(tmp_path: Path, work_dir: Path) -> None:
    with pytest.raises(CampaignError, match="found none"):
        WatchServer(tmp_path / "nothing")
    with pytest.raises(InputError, match=r"cannot listen on 203\.0\.113\.1:1"):
        WatchServer(work_dir, "203.0.113.1", 1)

"""The page and the metrics of a run, from its journal alone and without disturbing it."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from balto.campaign.campaign import Campaign
from balto.campaign.config import Config
from balto.campaign.facts import Facts
from balto.campaign.status import Watcher, status
from balto.data.pool_writer import write_pool
from balto.errors import CampaignError, InputError
from balto.journal.file import Follower, Journal, encode_all, read
from balto.report import watch
from balto.report.metrics import metrics_text
from balto.report.snapshot import snapshot
from balto.report.watch import WatchServer
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
    with serving(work_dir) as server:
        yield server.url.rstrip("/")


@contextmanager
def serving(work_dir: Path, *where: Any) -> Iterator[WatchServer]:
    with WatchServer(work_dir, *where) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
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


@pytest.mark.parametrize("host", ["", "  "])
def test_an_empty_host_listens_nowhere(work_dir: Path, host: str) -> None:
    with pytest.raises(InputError, match="an address to listen on, got an empty one"):
        WatchServer(work_dir, host)


@pytest.mark.parametrize("host", ["a..b", "x" * 300, "nul\0", "\udcff", "[::1]", "-", "1.2.3.4.5"])
def test_a_host_that_is_none_is_one_line(work_dir: Path, host: str) -> None:
    with pytest.raises(InputError, match="cannot listen on"):
        WatchServer(work_dir, host)


@pytest.mark.parametrize("port", [-1, 65536, 70_000])
def test_a_port_that_is_none_is_one_line(work_dir: Path, port: int) -> None:
    with pytest.raises(InputError, match="expected port to be a whole number"):
        WatchServer(work_dir, "127.0.0.1", port)


def status_for(server: WatchServer, host: str | None) -> int:
    """The HTTP status of a request that names a host."""
    where = server.server_address
    with socket.create_connection((str(where[0]), int(where[1])), 10) as client:
        named = "" if host is None else f"Host: {host}\r\n"
        client.sendall(f"GET /data.json HTTP/1.0\r\n{named}\r\n".encode())
        return int(client.makefile("rb").readline().split()[1])


@pytest.mark.parametrize(
    "host", ["127.0.0.1:{}", "localhost:{}", "LOCALHOST", "[::1]:{}", "127.0.0.1:9", "127.0.0.1"]
)
def test_a_host_of_ours_is_answered_by_any_port(work_dir: Path, host: str) -> None:
    """A tunnel has another port at its end."""
    with serving(work_dir) as server:
        assert status_for(server, host.format(server.server_port)) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:{}", "127.0.0.1.evil.example:{}", "localhost.evil", ""),
        *(
            "127.0.0.2:{}",
            "::1",
            "[::2]",
            "[127.0.0.1",
            "127.0.0.1:{}, evil.example",
            "a@127.0.0.1",
        ),
        *("127.0.0.1:{}\r\nHost: evil.example", None),
    ],
)
def test_a_foreign_host_is_refused(work_dir: Path, host: str | None) -> None:
    """Else a page whose name was made to lead here could read what is measured."""
    with serving(work_dir) as server:
        named = host if host is None else host.format(server.server_port)
        assert status_for(server, named) == 403


def test_who_listens_everywhere_answers_to_every_name_of_the_machine(work_dir: Path) -> None:
    with serving(work_dir, "0.0.0.0") as server:
        assert status_for(server, socket.gethostname()) == 200
        assert status_for(server, "0.0.0.0:1") == 200
        assert status_for(server, "evil.example") == 403


def test_ipv6(work_dir: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with serving(work_dir, "::1") as server:
        assert server.url == f"http://[::1]:{server.server_port}/"
        assert json.loads(get(f"{server.url}data.json")[1])["state"] == "finished"


def test_clients_that_leave_early_are_no_matter(
    work_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(work_dir) as server:
        for sent in (
            b"",
            b"GET",
            b"GET / HT",
            b"GET /data.json HTTP/1.0\r\nHost: localhost\r\n\r\n",
        ):
            for _ in range(3):
                client = socket.create_connection(("127.0.0.1", server.server_port), 10)
                client.sendall(sent)
                reset = b"\1\0\0\0\0\0\0\0"  # linger for no second: the client resets
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
                client.close()
        assert status_for(server, "localhost") == 200
    assert capfd.readouterr() == ("", "")


def test_slow_clients_are_cut_off_and_there_are_never_many(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A client that sends a byte now and then never waits long for the next: it has a limit too."""
    monkeypatch.setattr(watch, "PATIENCE_S", 0.8)
    monkeypatch.setattr(watch, "MOST_CLIENTS", 5)
    with serving(work_dir) as server:
        before = threading.active_count()
        where = ("127.0.0.1", server.server_port)
        slow = [socket.create_connection(where, 10) for _ in range(12)]
        began, cut = time.monotonic(), set()
        while len(cut) < len(slow) and time.monotonic() - began < 30:
            for client in set(slow) - cut:
                try:
                    client.sendall(b"G")
                except OSError:
                    cut.add(client)
            assert threading.active_count() - before <= 5
            time.sleep(0.1)
        assert len(cut) == len(slow)
        for client in slow:
            client.close()
        deadline = time.monotonic() + 10
        while threading.active_count() > before and time.monotonic() < deadline:
            time.sleep(0.02)
        assert status_for(server, "localhost") == 200
    assert capfd.readouterr() == ("", "")


def test_a_client_that_does_not_read_is_cut_off(
    work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "PATIENCE_S", 0.3)
    monkeypatch.setattr(WatchServer, "answer", lambda *_: (200, "text/plain", "x" * (64 << 20)))
    with serving(work_dir) as server:
        client = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
        client.request("GET", "/")
        time.sleep(1.5)
        with pytest.raises((http.client.IncompleteRead, OSError)):
            client.getresponse().read()

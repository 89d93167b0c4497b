"""One local page that shows a campaign while it runs, from its journal alone.

The page asks for ``/data.json`` every two seconds; ``/metrics`` is for Prometheus. Each answer
costs what is new in the journal since the last one.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from balto.campaign.status import CampaignStatus, Watcher
from balto.data.files import nan_to_none
from balto.data.outcome import Status
from balto.errors import BaltoError, InputError
from balto.report.metrics import metrics_text


def snapshot(work_dir: str | Path, now: CampaignStatus) -> dict[str, Any]:
    """What the page shows, for JSON; what is not known is null."""
    config, curves = now.config, {}
    for name in filter(None, (config.selector_spec, config.compare_spec)):
        curves[name] = [
            {
                "round": each.round,
                "measurements": each.measurements,
                "top1": each.accuracy.top1 if each.accuracy else None,
                "top5": each.accuracy.top5 if each.accuracy else None,
            }
            for each in now.facts.curve(name)
        ]
    counts = now.statuses
    found = {
        **now.to_dict(),
        "title": str(work_dir),
        "curves": curves,
        "failures": [
            {"kind": kind, "programs": counts[kind], "advice": Status(kind).advice}
            for kind in sorted(counts)
            if kind != Status.OK
        ],
        "drifts": [str(drift) for drift in now.facts.fleet.drifts()],
    }
    clean: dict[str, Any] = nan_to_none(found)
    return clean


class WatchServer(ThreadingHTTPServer):
    """Serves the page of one campaign; `serve_forever` runs until `shutdown`.

    Args:
        work_dir: the campaign's directory.
        host: address to listen on; the loopback interface unless others are to see it.
        port: 0 for any free one, which `server_port` then says.

    Raises:
        CampaignError: there is no campaign.
        InputError: it cannot listen there.
    """

    daemon_threads = True

    def __init__(self, work_dir: str | Path, host: str = "127.0.0.1", port: int = 0) -> None:
        self._work_dir = work_dir
        self._watcher = Watcher(work_dir)
        self._lock = threading.Lock()
        self.look()
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise InputError(f"cannot listen on {host}:{port}: {error}") from error

    def look(self) -> CampaignStatus:
        """The campaign's state now."""
        with self._lock:
            return self._watcher.look()

    def answer(self, path: str) -> tuple[int, str, str]:
        """HTTP status, content type and body of a path."""
        if path == "/":
            page = files("balto.report").joinpath("watch.html").read_text(encoding="utf-8")
            return 200, "text/html; charset=utf-8", page
        if path not in ("/data.json", "/metrics"):
            return 404, "text/plain; charset=utf-8", "expected /, /data.json or /metrics\n"
        try:
            with self._lock:
                now = self._watcher.look()
                if path == "/metrics":
                    return 200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(now)
                return 200, "application/json", json.dumps(snapshot(self._work_dir, now))
        except BaltoError as error:
            return 500, "text/plain; charset=utf-8", f"{error}\n"


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer

    def do_GET(self) -> None:
        code, kind, text = self.server.answer(self.path.partition("?")[0])
        body = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: a page that is open asks every two seconds."""

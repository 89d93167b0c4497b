"""One local page that shows a campaign while it runs, from its journal alone.

The page asks for ``/data.json`` every two seconds; ``/metrics`` is for Prometheus. Each answer
costs what is new in the journal since the last one.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler
from importlib.resources import files
from pathlib import Path
from socketserver import ThreadingTCPServer
from typing import Any

import psutil

from balto.arguments import check_number
from balto.campaign.status import CampaignStatus, Watcher
from balto.errors import BaltoError, InputError
from balto.report.metrics import metrics_text
from balto.report.snapshot import snapshot
from balto.text import one_line

#: Clients at a time, and seconds that each may take from its first byte to our last.
MOST_CLIENTS, PATIENCE_S = 32, 10.0
#: What every machine calls itself.
LOOPBACK = ("localhost", "127.0.0.1", "::1")
#: A host as a browser names it: any port will do, as a tunnel has another at its end.
_HOST = re.compile(r"(?:\[([^\]]+)\]|([^:]+))(?::\d*)?")
_TEXT = "text/plain; charset=utf-8"


class WatchServer(ThreadingTCPServer):
    """Serves the page of one campaign; `serve_forever` runs until `shutdown`.

    It answers only who asks for it by a name of its own, so that no page of a foreign site, whose
    name was made to lead here, can read it. A client that leaves early is no matter; one that takes
    longer than `PATIENCE_S` is cut off.

    Args:
        work_dir: the campaign's directory.
        host: name or address to listen on; the loopback interface unless others are to see it.
        port: 0 for any free one, which `server_port` then says.

    Raises:
        CampaignError: If there is no campaign in `work_dir`.
        InputError: If `host` is empty or no name of this machine, or the port is taken or none.
    """

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, work_dir: str | Path, host: str = "127.0.0.1", port: int = 0) -> None:
        check_number("port", port, 0, 65535, whole=True)
        self._work_dir = work_dir
        self._watcher = Watcher(work_dir)
        self._lock = threading.Lock()
        self._until: dict[Any, float] = {}  # by socket: when its client is cut off
        self.look()
        if not host.strip():
            raise InputError(
                "expected an address to listen on, got an empty one: 127.0.0.1 is for this machine "
                "alone, 0.0.0.0 for every network that it is in"
            )
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            self.address_family, _, _, _, address = min(found)  # IPv4 before IPv6
            super().__init__(address, _Handler)  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            raise InputError(f"cannot listen on {one_line(host)}:{port}: {error}") from error
        self.server_port = int(self.server_address[1])
        self._host, self._names = host, _names_of(host, str(self.server_address[0]))

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self.server_port}/"

    def look(self) -> CampaignStatus:
        """The campaign's state now."""
        with self._lock:
            return self._watcher.look()

    def answer(self, path: str, host: str) -> tuple[int, str, str]:
        """HTTP status, content type and body of a path.

        Args:
            path: without what follows a question mark.
            host: by which name this server was asked, with or without a port.
        """
        if not self._is_ours(host.lower()):
            names = ", ".join(sorted(self._names))
            words = f"expected one of {names} as the host, got {one_line(host)}: --host names it\n"
            return 403, _TEXT, words
        if path == "/":
            page = files("balto.report").joinpath("watch.html").read_text(encoding="utf-8")
            return 200, "text/html; charset=utf-8", page
        if path not in ("/data.json", "/metrics"):
            return 404, _TEXT, "expected /, /data.json or /metrics\n"
        try:
            with self._lock:
                now = self._watcher.look()
                if path == "/metrics":
                    return 200, "text/plain; version=0.0.4; charset=utf-8", metrics_text(now)
                return 200, "application/json", json.dumps(snapshot(self._work_dir, now))
        except (BaltoError, OSError) as error:
            return 500, _TEXT, f"{error}\n"

    def _is_ours(self, host: str) -> bool:
        named = _HOST.fullmatch(host)
        return named is not None and (named[1] or named[2]) in self._names

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002
        """Whether there is room for one client more."""
        return len(self._until) < MOST_CLIENTS

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own."""
        self._until[request] = time.monotonic() + PATIENCE_S
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget a client that has its answer, or left."""
        self._until.pop(request, None)
        super().shutdown_request(request)

    def service_actions(self) -> None:
        """Cut off who takes too long; called twice a second."""
        for request, until in list(self._until.items()):
            if time.monotonic() > until:
                with contextlib.suppress(OSError):
                    request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that left, or was cut off."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: WatchServer
    server_version, sys_version = "balto", ""
    timeout = PATIENCE_S

    def do_GET(self) -> None:
        host = ",".join(self.headers.get_all("Host", []))
        code, kind, text = self.server.answer(self.path.partition("?")[0], host)
        body = text.encode(errors="replace")
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing: a page that is open asks every two seconds."""


def _names_of(host: str, bound: str) -> set[str]:
    """By what names a server may be asked that listens on an address.

    Args:
        host: the name that was given.
        bound: the address that it has; every address of this machine where it stands for all.
    """
    names = {*LOOPBACK, host, bound}
    if ipaddress.ip_address(bound).is_unspecified:
        addresses = (each.address for some in psutil.net_if_addrs().values() for each in some)
        names |= {socket.gethostname(), *(each.partition("%")[0] for each in addresses)}
    return {name.lower() for name in names}

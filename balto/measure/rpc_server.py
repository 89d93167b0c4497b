"""TVM's RPC server, surviving the programs that it runs: ``python -m balto.measure.rpc_server``.

The stock Python server (``tvm.exec.rpc_server``) stops serving when a program crashes its session,
and stays registered at the tracker, so that every later program waits for it. This is the same
server with that one hole closed. TVM's C++ server, for boards without Python, has no such hole.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any

from balto.arguments import whole_number


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(description="Offer this machine to an RPC tracker.")
    parser.add_argument("--tracker", required=True, help="HOST:PORT of the tracker")
    parser.add_argument("--key", required=True, help="what the tracker calls devices like this one")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=whole_number, default=9090, help="first port to try")
    parser.add_argument("--port-end", type=whole_number, default=9199, help="end of those to try")
    parser.add_argument("--silent", action="store_true", help="log errors only")
    options = parser.parse_args()
    from tvm.rpc import Server

    host, _, port = options.tracker.rpartition(":")
    if not host or not port.isdecimal():
        parser.error(f"expected --tracker as HOST:PORT, got {options.tracker!r}")
    server = Server(
        options.host,
        options.port,
        options.port_end,
        tracker_addr=(host, int(port)),
        key=options.key,
        silent=options.silent,
        server_init_callback=survive_crashes,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    try:
        server.proc.join()
    finally:
        server.terminate()  # the process that serves would outlive this one


def survive_crashes() -> None:
    """Runs in the serving process: a session that ends badly is over, and no more."""
    from tvm.rpc import server

    serve = server._serving

    def serving(sock: Any, *rest: Any) -> None:
        folder = os.getcwd()  # noqa: PTH109
        try:
            serve(sock, *rest)
        except RuntimeError as error:
            server.logger.warning("a session crashed: %s", error)
            os.chdir(folder)
            sock.close()

    server._serving = serving


if __name__ == "__main__":
    main()

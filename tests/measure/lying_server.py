"""An RPC server whose clock lies, for the tests: ``python -m tests.measure.lying_server SECONDS``.

What it times is run, and then it says SECONDS, of every program or of all but the probes.
"""

from __future__ import annotations

import struct
import sys
from typing import Any

from balto.measure import rpc_server


def lie(seconds: float, honest: int) -> None:
    """Say `seconds` of every repeat from now on, but for the first `honest` programs of a session.

    Args:
        seconds: what is said.
        honest: of how many programs the truth is said first.
    """
    import tvm_ffi

    name = "runtime.RPCTimeEvaluator"
    real = tvm_ffi.get_global_func(name)
    seen = [0]

    def evaluator(*of: Any) -> Any:
        timed = real(*of)
        seen[0] += 1
        if seen[0] <= honest:
            return timed

        def says(*arguments: Any) -> bytes:
            return struct.pack("d", seconds) * (len(timed(*arguments)) // 8)

        return tvm_ffi.convert(says)

    tvm_ffi.register_global_func(name, evaluator, override=True)


def main() -> None:
    """Serve until killed, with the options of `balto.measure.rpc_server`."""
    seconds = float(sys.argv.pop(1))
    survive = rpc_server.survive_crashes

    def prepared() -> None:
        survive()
        lie(seconds, 0)

    rpc_server.survive_crashes = prepared
    rpc_server.main()


if __name__ == "__main__":
    main()

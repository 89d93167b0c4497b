"""How long the steps of a deployment may take."""

from __future__ import annotations

from dataclasses import dataclass

from balto.arguments import check_field


@dataclass(frozen=True, kw_only=True)
class DeploySettings:
    """Deadlines of compiling, running and writing what was tuned; each in seconds by the clock.

    Attributes:
        compile_timeout_s: of reading or compiling a whole network.
        run_timeout_s: of running a whole network, in TVM or where it came from, and of timing it.
        export_timeout_s: of compiling one operator, or writing the database.

    Raises:
        InputError: If a value is not a number of at least .1 and at most 1e6.
    """

    compile_timeout_s: float = 1800.0
    run_timeout_s: float = 1200.0
    export_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        for name in ("compile_timeout_s", "run_timeout_s", "export_timeout_s"):
            check_field(self, name, 0.1, 1e6)

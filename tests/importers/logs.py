"""Lines of Ansor's logs, for the tests.

`CPU` is a line of a test of TVM 0.8 to 0.14, which measured it
(``tests/python/unittest/test_tir_transform_common_subexpr_elim.py``, Apache-2.0). The others are
written here in the same grammar, as Ansor's sketches for GPUs and for a cached matmul look.
"""

from __future__ import annotations

import json
from typing import Any

CPU = (
    '{"i": [["[\\"conv2d_layer\\", 1, 7, 7, 512, 512, 3, 3, [1, 1], [1, 1]]", '
    '"llvm -keys=cpu -mcpu=broadwell -num-cores=2", [8, 64, 64, 0, 0, 0, 0, 0], "", 1, []], '
    '[[], [["CI", 5], ["SP", 3, 0, 1, [1, 1, 1], 1], ["SP", 3, 4, 512, [1, 32, 16], 1], '
    '["SP", 3, 8, 7, [7, 1, 1], 1], ["SP", 3, 12, 7, [1, 1, 1], 1], ["SP", 3, 16, 512, [1], 1], '
    '["SP", 3, 18, 3, [1], 1], ["SP", 3, 20, 3, [3], 1], ["RE", 3, [0, 4, 8, 12, 1, 5, 9, 13, 16, '
    '18, 20, 2, 6, 10, 14, 17, 19, 21, 3, 7, 11, 15]], ["FSP", 6, 0, 1, 2], ["FSP", 6, 3, 2, 2], '
    '["FSP", 6, 6, 3, 2], ["FSP", 6, 9, 4, 2], ["RE", 6, [0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11]], '
    '["CA", 3, 6, 7], ["CA", 1, 6, 5], ["FU", 6, [0, 1, 2, 3, 4, 5]], ["AN", 6, 0, 3], '
    '["PR", 3, 0, "auto_unroll_max_step$512"], ["AN", 1, 3, 2], ["AN", 3, 21, 2], '
    '["AN", 6, 6, 2]]]], "r": [[0.0331129], 0, 0.900362, 1647464342], "v": "v0.6"}'
)


def matmul_steps(m=(8, 8, 1), n=(8, 1, 2), k=(1,), sizes=(64, 64, 64), unroll=64) -> list[Any]:
    """A matmul tiled SSRSRS whose output is cached and written back after two levels."""
    return [
        ["CHW", 2, "local"],
        ["SP", 2, 0, sizes[0], list(m), 1],
        ["SP", 2, 4, sizes[1], list(n), 1],
        ["SP", 2, 8, sizes[2], list(k), 1],
        ["RE", 2, [0, 4, 1, 5, 8, 2, 6, 9, 3, 7]],
        *(["FSP", 3, 0, 1, 2], ["FSP", 3, 3, 2, 2], ["RE", 3, [0, 3, 1, 4, 2, 5]]),
        *(["CA", 2, 3, 3], ["FU", 3, [0, 1, 2, 3]], ["AN", 3, 0, 3]),
        *(["PR", 2, 0, f"auto_unroll_max_step${unroll}"], ["AN", 2, 9, 2], ["AN", 3, 2, 2]),
    ]


#: A GPU's: tiled SSSRRSRS, inputs fetched into shared memory by vectors of 2 and of 4.
GPU_STEPS = [
    *(["SP", 2, 0, 64, [1, 16, 2, 1], 1], ["SP", 2, 5, 128, [2, 8, 1, 4], 1]),
    *(["SP", 2, 10, 256, [4, 8], 1], ["RE", 2, [0, 5, 1, 6, 2, 7, 10, 11, 3, 8, 12, 4, 9]]),
    *(["FSP", 3, 0, 0, 3], ["FSP", 3, 4, 1, 3], ["RE", 3, [0, 4, 1, 5, 2, 6, 3, 7]]),
    *(["CA", 2, 3, 5], ["CHR", 1, "shared", [3]], ["CA", 2, 3, 6]),
    *(["CHR", 0, "shared", [4]], ["CA", 1, 4, 6]),
    *(["FU", 5, [0, 1]], ["AN", 5, 0, 5], ["FU", 5, [1, 2]], ["AN", 5, 1, 4]),
    *(["FU", 5, [2, 3]], ["AN", 5, 2, 6], ["FU", 3, [0, 1]], ["SP", 3, 0, 64, [2], 1]),
    *(["AN", 3, 1, 2], ["FFSP", 3, 0, [0, 1], 1, 1], ["AN", 3, 1, 6], ["FU", 1, [0, 1]]),
    *(["SP", 1, 0, 32, [4], 1], ["AN", 1, 1, 2], ["FFSP", 1, 0, [0, 1], 1, 1], ["AN", 1, 1, 6]),
    ["PR", 4, 0, "auto_unroll_max_step$1024"],
]


def line(
    steps: Any = None,
    costs: Any = (2e-3, 1e-3),
    error: Any = 0,
    workload: Any = ("my_matmul", 64, 64, 64),
    target: str = "llvm -keys=cpu -mcpu=znver3 -num-cores=4",
    version: str = "v0.6",
    seconds: Any = 1.5,
) -> str:
    """A record."""
    task = [json.dumps(workload), target, [4, 64, 64, 0, 0, 0, 0, 0], "", 1, []]
    steps = matmul_steps() if steps is None else steps
    costs = list(costs) if isinstance(costs, tuple) else costs
    result = [costs, error, seconds, 1647464342]
    return json.dumps({"i": [task, [[], steps]], "r": result, "v": version})


def write(path, lines):
    """A log of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{each}\n" for each in lines))
    return path

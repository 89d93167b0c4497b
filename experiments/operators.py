"""Draw operators of random shapes, to record a pool of many tasks, as `pools/epyc-avx512-broad`.

    python experiments/operators.py

prints options for ``balto pretrain``: one ``--operator`` for each. Kinds come as often as below,
shapes are what networks have: mostly multiples of eight, images of 7 to 64, windows of 1 to 5.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np

from balto.tasks.operators import parse

#: Of a hundred operators, how many are of each kind.
KINDS = {
    "matmul": 12,
    "matmul_relu": 5,
    "batch_matmul_nkkm": 10,
    "transpose_batch_matmul": 6,
    "conv1d_nlc": 6,
    "conv2d_nhwc": 20,
    "conv2d_nchw": 4,
    "conv2d_nhwc_bn_relu": 6,
    "conv2d_nchw_bias_bn_relu": 4,
    "conv3d_ndhwc": 4,
    "depthwise_conv2d_nhwc": 11,
    "conv2d_transpose_nhwc": 6,
    "max_pool2d_nchw": 2,
    "softmax_mn": 2,
    "norm_bmn": 2,
}
#: Least and most work of an operator: multiply-adds.
WORK = (1e6, 6e7)
#: The same where each number is used a few times: numbers read, of a window those of one row.
LIGHT = (2e4, 5e5)
CHANNELS = (16, 24, 32, 40, 48, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320, 384, 512)
IMAGES = (7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64)
SIZES = (*CHANNELS, 72, 100, 120, 176, 200, 240, 288, 300, 400, 448, 480, 576, 640, 768, 1024)
_LIGHT = ("depthwise_conv2d_nhwc", "max_pool2d_nchw", "softmax_mn", "norm_bmn")


def operators(number: int, seed: int) -> Iterator[str]:
    """Distinct specifications, such as `balto.tasks.operators.parse` takes.

    Args:
        number: how many.
        seed: with `number`, fixes them.
    """
    rng = np.random.default_rng(seed)
    kinds = np.repeat(list(KINDS), list(KINDS.values()))
    order = [kind for _ in range(-(-number // len(kinds))) for kind in rng.permutation(kinds)]
    known: set[str] = set()
    for kind in order[:number]:
        while (spec := _drawn(str(kind), rng)) in known:
            pass
        known.add(spec)
        yield spec


def _drawn(kind: str, rng: np.random.Generator) -> str:
    low, high = LIGHT if kind in _LIGHT else WORK
    while True:
        numbers, work = _shape(kind, rng)
        if low <= work <= high:
            spec = f"{kind}:{'x'.join(map(str, numbers))}"
            parse(spec)
            return spec


def _shape(kind: str, rng: np.random.Generator) -> tuple[list[int], float]:
    """Arguments of an operator, and its work."""

    def one(of: tuple[int, ...]) -> int:
        return int(rng.choice(of))

    if kind in ("matmul", "matmul_relu"):
        n, m, k = one((1, *SIZES)), one(SIZES), one(SIZES)
        return [n, m, k], n * m * k
    if kind == "batch_matmul_nkkm":
        b, n, m, k = one((2, 3, 4, 6, 8, 12, 16)), one(SIZES), one(SIZES), one(SIZES)
        return [b, n, m, k], b * n * m * k
    if kind == "transpose_batch_matmul":
        n, heads, size = one((32, 64, 96, 128, 192, 256)), one((2, 4, 8, 12)), one((16, 32, 64, 96))
        return [1, n, heads, size], heads * n * n * size
    if kind == "softmax_mn":
        m, n = one(SIZES), one(SIZES)
        return [m, n], m * n
    if kind == "norm_bmn":
        b, m, n = one((1, 2, 4, 8)), one(SIZES), one(SIZES)
        return [b, m, n], b * m * n
    if kind == "max_pool2d_nchw":
        c, side = one(CHANNELS), one(IMAGES)
        return [1, side, side, c, one((0, 1))], side * side * c
    window = one((1, 3, 3, 3, 5))
    stride = one((1, 1, 2))
    ci, co, side = one(CHANNELS), one(CHANNELS), one(IMAGES)
    out = -(-side // stride)
    if kind == "depthwise_conv2d_nhwc":
        window = max(3, window)
        return [1, side, side, ci, window, stride, window // 2], out * out * ci * window
    if kind == "conv1d_nlc":
        side = one(SIZES)
        work = -(-side // stride) * ci * co * window
        return [1, side, ci, co, window, stride, window // 2], work
    if kind == "conv3d_ndhwc":
        depth, side = one((4, 6, 8, 10)), one((7, 8, 10, 12, 14, 16))
        out = -(-depth // stride) * (-(-side // stride)) ** 2
        work = out * ci * co * window**3
        return [1, depth, side, side, ci, co, window, stride, window // 2], work
    if kind == "conv2d_transpose_nhwc":
        window = one((2, 3, 4))
        work = 4 * side * side * ci * co * window * window
        return [1, side, side, ci, co, window, 2, 0 if window == 2 else 1], work
    work = out * out * ci * co * window * window
    if kind in ("conv2d_nchw", "conv2d_nchw_bias_bn_relu"):
        return [1, side, side, ci, co, window, window, stride, window // 2], work
    if kind == "conv2d_nhwc" and rng.random() < 0.2:
        groups = one((2, 4))
        return [1, side, side, ci, co, window, stride, window // 2, 1, groups], work / groups
    return [1, side, side, ci, co, window, stride, window // 2], work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(" ".join(f"--operator {spec}" for spec in operators(options.number, options.seed)))


if __name__ == "__main__":
    main()

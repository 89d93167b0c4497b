"""Selectors that did not become part of balto, beside those that did.

    python experiments/candidates.py --scale small
    python experiments/candidates.py --schemes random balto biased-lcmd top thompson

`docs/notes/selection-study.md` says what became of them.
"""

from __future__ import annotations

from _selectors import SELECTORS
from _study import arguments, main
from table1 import cells, publish_tables


def study() -> None:
    parser = arguments(__doc__)
    shipped = ["random", "balto", "biased-lcmd"]
    parser.add_argument("--schemes", nargs="+", default=[*shipped, *SELECTORS])
    parser.add_argument("--models", nargs="+", default=["xgb"])
    parser.add_argument("--budgets", nargs="+", type=float, default=[0.05])
    options = parser.parse_args()
    options.networks = []
    publish_tables(options, cells(options), ["top1", "halves"], "candidates")


if __name__ == "__main__":
    main(study)

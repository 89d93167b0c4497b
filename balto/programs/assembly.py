"""Feature set ``assembly``: what the compiled code of a program says.

Compiled code tells a model more than any rule does (`docs/features.md`), but compiling a program
costs a third to two thirds of measuring it. So this set is made only where somebody asks for it.

It is for CPUs of the x86 family, whose assembly LLVM writes in AT&T syntax. Of the hottest loop and
of the whole program it has the mix of instructions, vector widths, loads, stores and spills; of the
hottest loop also how many of these there are for each product of floats. Counts are
``log2(1 + x)``, ratios ``log2(2^-10 + x)``.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from balto.errors import InputError
from balto.programs.extract import Drawn
from balto.programs.schedule import CHECKS_OFF, with_laid_out_weights

#: Name of the feature set, and the version of what its columns mean.
NAME, VERSION = "assembly", 1
#: A ratio that is as good as none.
FEW = 2.0**-10

_LABEL = re.compile(r"^(\.L\w+|\w+):")
_INSTRUCTION = re.compile(r"^\t([a-z]\w*)\t?(.*)")
_MEMORY = re.compile(r"\(([^)]*)\)")
_VECTOR = re.compile("%([xyz])mm")
_MULTIPLY_ADD = re.compile(r"vfn?m(add|sub)\w*([sp])s$")
_MULTIPLY = re.compile(r"v?mul([sp])s$")
#: Kinds of instructions, by mnemonic; the first that fits counts.
KINDS = {
    "fma": r"vfn?m(add|sub)",
    "multiply": r"v?mul[ps][sd]",
    "add": r"v?(add|sub)[ps][sd]",
    "compare": r"v?(max|min|cmp)[ps][sd]|v?u?comis",
    "shuffle": r"v?(perm|shuf|unpck|insert|extract|blend|broadcast|movddup|pack|palign)",
    "gather": r"v?p?(gather|scatter)",
    "divide": r"v?(div|sqrt|rcp)",
    "move": r"v?mov",
    "address": r"lea|add|sub|inc|dec|imul|shl|sar|and|xor",
    "branch": r"j\w+|cmp|test",
    "call": r"call",
}
_KINDS = {name: re.compile(pattern) for name, pattern in KINDS.items()}
_OPERANDS = ("zmm", "ymm", "xmm", "load", "store", "spill", "scalar")
_COUNTS = (*KINDS, *_OPERANDS, "instructions")
_EACH = ("load", "store", "spill", "instructions")
#: Floats of a vector register, by the first letter of its name.
_LANES = {"x": 4, "y": 8, "z": 16}

#: Names of the columns.
COLUMNS = (
    *(f"{where}.{c}" for where in ("hot", "all") for c in _COUNTS),
    *("loops", "hot.share", "hot.products"),
    *(f"hot.{c}_each" for c in _EACH),
)


def from_drawn(drawn: Drawn) -> Sequence[NDArray[np.float32]]:
    """One ``1 x len(COLUMNS)`` array a program that was drawn: it is compiled for its target."""
    return list(extract((s.mod for s in drawn.schedules), drawn.context.target)[:, None])


def extract(modules: Iterable[Any], target: Any) -> NDArray[np.float32]:
    """One row a scheduled module, `n x len(COLUMNS)`, always finite.

    Args:
        modules: ``schedule.mod`` of each program: an ``IRModule`` with one ``main`` function.
        target: TVM's, a CPU of the x86 family.

    Raises:
        InputError: If the target is not a CPU of the x86 family.
    """
    if target.kind.name != "llvm" or not _is_x86(target):
        raise InputError(
            f"expected a CPU of the x86 family for the feature set {NAME}, got {target}"
        )
    rows = [row(assembly_of(module, target)) for module in modules]
    return np.array(rows, dtype=np.float32).reshape(-1, len(COLUMNS))


def assembly_of(module: Any, target: Any) -> str:
    """The assembly of a scheduled TVM module, as it is measured, for TVM's `target`."""
    import tvm

    with tvm.transform.PassContext(config=CHECKS_OFF):
        return str(tvm.tirx.build(with_laid_out_weights(module), target).inspect_source("asm"))


def _is_x86(target: Any) -> bool:
    triple = str(target.attrs.get("mtriple", "") or platform.machine())  # LLVM's default: this host
    return triple.lower().startswith(("x86_64", "amd64", "i386", "i686"))


def row(assembly: str) -> list[float]:
    """The columns of one program, from the text of its assembly."""
    lines, at = _instructions(assembly)
    loops = [
        (start, end)
        for end, (name, operands) in enumerate(lines)
        if name.startswith("j") and (start := at.get(operands.strip(), end + 1)) <= end
    ]
    innermost = [
        (a, b)
        for a, b in loops
        if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)
    ]
    products = [_products(*line) for line in lines]
    hot = max(innermost, key=lambda loop: sum(products[loop[0] : loop[1] + 1]), default=None)
    inside = slice(0, 0) if hot is None else slice(hot[0], hot[1] + 1)
    there, all_ = _counts(lines[inside]), _counts(lines)
    work = sum(products[inside])
    return [
        *np.log2(1 + np.array([*there.values(), *all_.values(), len(loops)])).tolist(),
        there["instructions"] / max(1, all_["instructions"]),
        float(np.log2(1 + work)),
        *(float(np.log2(FEW + there[c] / max(1, work))) for c in _EACH),
    ]


def _instructions(assembly: str) -> tuple[list[tuple[str, str]], dict[str, int]]:
    """Mnemonic and operands of every instruction, and where each label points."""
    lines: list[tuple[str, str]] = []
    at: dict[str, int] = {}
    for line in assembly.splitlines():
        if label := _LABEL.match(line):
            at[label[1]] = len(lines)
        elif found := _INSTRUCTION.match(line):
            lines.append((found[1], found[2]))
    return lines, at


def _products(name: str, operands: str) -> int:
    """Products of floats that an instruction computes."""
    found = _MULTIPLY_ADD.match(name) or _MULTIPLY.match(name)
    if not found:
        return 0
    vector = _VECTOR.search(operands)
    return 1 if found[found.lastindex or 0] == "s" or not vector else _LANES[vector[1]]


def _counts(lines: Sequence[tuple[str, str]]) -> dict[str, int]:
    counts = dict.fromkeys(_COUNTS, 0)
    counts["instructions"] = len(lines)
    for name, operands in lines:
        kind = next((kind for kind, pattern in _KINDS.items() if pattern.match(name)), None)
        if kind:
            counts[kind] += 1
        vector = next((w for w in "zyx" if f"%{w}mm" in operands), "")
        if vector:
            counts[f"{vector}mm"] += 1
        counts["scalar"] += name.endswith(("ss", "sd"))
        memory = _MEMORY.search(operands)
        if memory and not name.startswith(("lea", "nop")):
            counts["store" if operands.rstrip().endswith(")") else "load"] += 1
            counts["spill"] += bool(vector) and "%rsp" in memory[1]
    return counts

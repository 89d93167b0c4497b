"""The texts of a ``.pt2`` file's JSON: which of them torch would make code of.

Sizes are evaluated, names become variables of Python that is compiled, and operators are looked up
and called. So each text has a rule by its key, and without one it may be no more than a plain name.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from typing import Any

#: Operators beside those of these libraries; what takes or makes functions is not among them.
_LIBRARIES = ("aten", "prims", "quantized_decomposed", "torchvision")
_OTHERS = re.compile(
    r"_operator\.(eq|ne|[lg][et]|neg|pos|abs|i?add|i?sub|i?mul|i?floordiv|i?truediv|i?mod|i?pow"
    r"|and_|or_|xor|not_|lshift|rshift|getitem|index)|math\.[a-z]\w*|torch\._?sym_\w+"
    r"|torch\.ops\.higher_order\.(cond|while_loop|scan|map_impl|wrap_with_(set_grad_enabled|autocast))"
)
#: Functions and parts of the text of a symbolic size.
_CALLED = re.compile(
    r"Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|Abs|floor|ceiling|And|Or|Not"
    r"|Eq|Ne|[LG][te]|Equality|Unequality|(Strict)?(Less|Greater)Than|FloorDiv|ModularIndexing"
    r"|Where|PythonMod|CleanDiv|(Ceil|Floor|Round|Trunc)ToInt|CeilDiv|[LR]Shift|PowByNatural"
    r"|Float(Pow|TrueDiv)|IntTrueDiv|IsNonOverlappingAndDenseIndicator|TruncToFloat|RoundDecimal"
    r"|ToFloat|Identity"
)
_PARTS = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.Call, ast.keyword),
    *(ast.Name, ast.Constant, ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)


def odd_texts(value: Any, key: str = "") -> Iterator[str]:
    """Where there is a text, at any depth, that is not as an ordinary file has it, and the text.

    Args:
        value: what JSON gave.
        key: below which it lies.
    """
    if key == "metadata" and isinstance(value, dict) and set(map(type, value.values())) <= {str}:
        return  # of a node: kept as it is
    if isinstance(value, dict):
        for name, each in value.items():
            if not _is_plain(name):
                yield f"a name: {name[:200]!r}"
            yield from odd_texts(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from odd_texts(each, key)
    elif isinstance(value, str) and not _RULES.get(key, _is_plain)(value):
        yield f"{key}: {value[:200]!r}"


def _is_plain(text: str) -> bool:
    """A name or path of a module: nothing that ends a text or calls."""
    return re.fullmatch(r"[\w.+\-:/ ]*", text) is not None


def _is_name(text: str) -> bool:
    return not text or text.isidentifier()


def _is_structure(text: str) -> bool:
    """JSON of how inputs are nested, without classes that are imported; keys name variables."""
    plain = re.fullmatch(r"""(?:[\w\s"\[\]{}:,.+\-/]|\\["\\])*""", text)
    return plain is not None and "__enum__" not in text and "default_factory" not in text


def _is_operator(text: str) -> bool:
    import torch

    if not re.fullmatch(rf"torch\.ops\.({'|'.join(_LIBRARIES)})\.\w+\.\w+", text):
        return _OTHERS.fullmatch(text) is not None
    _, _, library, name, overload = text.split(".")
    try:
        found = getattr(getattr(getattr(torch.ops, library), name), overload)
    except AttributeError:
        return True  # torch does not find it either, and says so
    return isinstance(found, torch._ops.OpOverload) and name != "from_file"


def _is_arithmetic(text: str) -> bool:
    """An expression of numbers and symbols; its texts are names of symbols."""
    try:
        parts = list(ast.walk(ast.parse(text, mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(isinstance(part, _PARTS) and _is_harmless(part) for part in parts)


def _is_harmless(part: ast.AST) -> bool:
    if isinstance(part, ast.Call):
        return isinstance(part.func, ast.Name) and _CALLED.fullmatch(part.func.id) is not None
    if isinstance(part, ast.Constant):
        value = part.value
        return value.isidentifier() if isinstance(value, str) else not isinstance(value, bytes)
    return True


_RULES: dict[str, Callable[[str], bool]] = {
    **dict.fromkeys(("name", "as_name", "forward_arg_names"), _is_name),
    **dict.fromkeys(("target", "as_operator"), _is_operator),
    **dict.fromkeys(("expr_str", "guards_code"), _is_arithmetic),
    **dict.fromkeys(("in_spec", "out_spec"), _is_structure),
    **dict.fromkeys(("as_string", "as_strings"), lambda _: True),
}

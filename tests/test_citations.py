"""Sources are cited in one way: ``[Key2020]_``, and a block of that name at the module's head."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import balto

ROOT = Path(balto.__file__).parent


def test_what_is_cited_is_named_at_the_head_of_the_module_and_the_other_way_round() -> None:
    cited = 0
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        head = ast.get_docstring(ast.parse(text)) or ""
        blocks = re.findall(r"^\.\. \[(\w+)\]\n    \S", head, re.M)
        assert set(re.findall(r"\[(\w+)\]_", text)) == set(blocks), path
        assert len(blocks) == text.count(".. ["), path
        assert not re.search(r"^\W*Sources?: ", text, re.M), path
        cited += len(blocks)
    assert cited > 10

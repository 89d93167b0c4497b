"""What other tools have measured, as recorded pools: TenSet's files and MetaSchedule's databases.

Everything is read as data: no class of a file is made, nothing that it names is called, and neither
TenSet's fork of TVM nor torch is needed. `docs/importing.md` says what becomes of each value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from balto.lazy import lazily

if TYPE_CHECKING:
    from balto.importers.imported import Imported
    from balto.importers.metaschedule import import_metaschedule
    from balto.importers.tenset import import_tenset

__all__ = [
    "Imported",
    "import_metaschedule",
    "import_tenset",
]

__getattr__, __dir__ = lazily(__name__)

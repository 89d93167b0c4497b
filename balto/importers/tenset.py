"""``balto import tenset``: TenSet's files, whichever of them one has, as a recorded pool."""

from __future__ import annotations

from pathlib import Path

from balto.data.files import reading
from balto.errors import InputError
from balto.importers.dataset import import_datasets
from balto.importers.imported import Imported, refuse_packed
from balto.importers.records import MEASURE_RECORDS, import_records
from balto.importers.weights import ENDING, read_networks
from balto.text import one_line

#: The folder with a file for each network.
NETWORK_INFO = "network_info"
_PICKLES = (".pkl", ".feature_cache")


def import_tenset(
    source: str | Path,
    pool: str | Path,
    network_info: str | Path | None = None,
    device: str | None = None,
) -> Imported:
    """Read TenSet's data, or any Ansor logs, and write them as a recorded pool.

    Args:
        source: a ``dataset.pkl``, a ``.feature_cache`` file or a folder of such; a log, a folder
            of logs, or TenSet's folder that holds ``measure_records``.
        pool: where the pool goes.
        network_info: the folder of ``*.task.pkl`` files, which say how often each task occurs in
            its network; None to look for one beside `source`. Without it all weights are 1, and
            the pool does not say which tasks are of which network.
        device: the name of the device that measured; None to take what the source says.

    Returns:
        What was written, and what was skipped and why.

    Raises:
        InputError: If there is nothing of TenSet's at `source`, or a file is damaged or refused.
        StorageError: If the pool cannot be written.

    Examples:
        >>> import json
        >>> from pathlib import Path
        >>> task = ['["matmul", 64, 64, 64]', "llvm -mcpu=skylake"]
        >>> line = {"i": [task, [[], []]], "r": [[0.002], 0, 0.5, 0], "v": "v0.6"}
        >>> Path("log.json").write_text(json.dumps(line)) > 0
        True
        >>> found = balto.importers.import_tenset("log.json", "pool")
        >>> found.tasks, found.programs
        (1, 1)
    """
    path = Path(source)
    with reading(path, InputError):
        pickles, logs = _files(path)
        for each in (*pickles, *logs):
            refuse_packed(each)
        networks = read_networks(_task_files(path, network_info))
    if pickles:
        result = import_datasets(pickles, pool, one_line(path), networks, device)
    else:
        result = import_records(logs, pool, one_line(path), networks, device)
    if networks:
        result.notes += networks.write(pool)
    else:
        result.notes.append(f"no {NETWORK_INFO}/*{ENDING} found: every task has weight 1")
    return result


def _files(path: Path) -> tuple[list[Path], list[Path]]:
    """Pickles and logs at a path."""
    if path.is_file():
        return ([path], []) if path.suffix in _PICKLES else ([], [path])
    if not path.is_dir():
        raise InputError(
            f"expected TenSet's files or a folder of them, found none at {one_line(path)}"
        )
    caches = sorted(path.glob("*.feature_cache"))
    inside = path / MEASURE_RECORDS
    logs = sorted((inside if inside.is_dir() else path).rglob("*.json")) if not caches else []
    if not caches and not logs:
        raise InputError(
            f"expected *.feature_cache, {MEASURE_RECORDS} or logs (*.json) in {one_line(path)}, "
            "found none; a dataset.pkl is given by its own path"
        )
    return caches, logs


def _task_files(path: Path, network_info: str | Path | None) -> list[Path]:
    if network_info is not None:
        found = sorted(Path(network_info).glob(f"*{ENDING}"))
        if not found:
            raise InputError(f"expected *{ENDING} files in {one_line(network_info)}, found none")
        return found
    places = (path, *list(path.absolute().parents)[:3])
    folders = (place / NETWORK_INFO for place in places)
    return next((sorted(f.glob(f"*{ENDING}")) for f in folders if f.is_dir()), [])

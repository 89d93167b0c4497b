"""Kills a journal's writer with -9 at random moments, again and again."""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from balto.journal.file import Journal, read


def write(path: str, report: int) -> None:
    """Append for ever; after each sync, report how many records must now be there."""
    with Journal.open(path) as journal:
        number = sum(1 for _ in read(path))
        while True:
            for _ in range(random.randint(1, 9)):
                journal.append({"number": number, "text": "x" * random.choice([0, 9, 200, 5000])})
                number += 1
            if random.random() < 0.5:
                journal.sync()
            os.write(report, b"%d\n" % number)


def main(path: str, kills: int) -> None:
    sure = []
    for kill in range(kills):
        reader, report = os.pipe()
        child = os.fork()
        if child == 0:
            random.seed(kill)
            write(path, report)
        os.close(report)
        if kill % 5:  # every fifth dies while it opens, the others while they write
            select.select([reader], [], [])
        time.sleep(random.uniform(0.0, 0.002))
        os.kill(child, signal.SIGKILL)
        _, ended = os.waitpid(child, 0)
        assert os.WIFSIGNALED(ended), "it was gone before it was killed"
        with os.fdopen(reader) as file:
            told = [int(line) for line in file if line.endswith("\n")]
        sure.append(max([*sure[-1:], *told], default=0))
        numbers = [r["number"] for r in read(path)] if Path(path).exists() else []
        assert numbers == list(range(len(numbers))), "lost, repeated or out of order"
        assert len(numbers) >= sure[-1], f"{sure[-1]} were taken, {len(numbers)} are there"
    print(json.dumps(sure))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))

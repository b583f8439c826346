"""What a killed process leaves: the files of a local log as they stand at one moment.

Each append is one ``write`` to a file, and nothing of it waits in the process. So a copy between
two appends is what ``kill -9`` there would leave. What a power cut takes is not shown by it: pages
that no disk has seen are in the copy.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from stream.broker.local.log import OFFSETS, Log

LOCK = "lock"
_TRIES = 100


def copy_log(log: Path, target: Path) -> None:
    """Copy a log's directory between two appends; call it where no append can come meanwhile.

    Compaction has a thread of its own, which may rename a file: then it is copied again.

    Raises
    ------
    RuntimeError
        If files change all the time.
    """
    for _ in range(_TRIES):
        before = _listed(log)
        try:
            shutil.copytree(log, target, ignore=shutil.ignore_patterns(LOCK))
        except (FileNotFoundError, shutil.Error):
            before = []
        if before and before == _listed(log):
            return
        shutil.rmtree(target, ignore_errors=True)
    raise RuntimeError(f"the files of {log} change all the time: no copy of one moment can be had")


def _listed(log: Path) -> list[tuple[str, int, int]]:
    """Each file with its number and its size."""
    found = []
    for path in sorted(log.rglob("*")):
        try:
            facts = path.stat()
        except FileNotFoundError:
            continue
        found.append((str(path), facts.st_ino, facts.st_size if path.is_file() else 0))
    return found


class Dying:
    """Copies a log right behind the ``writes``-th append from now on.

    Commits of offsets are not counted: they come by the clock.

    Attributes
    ----------
    done : bool
        Whether it was copied.
    """

    def __init__(self, log: Log, target: Path, writes: int) -> None:
        self.done = False
        self._log, self._target, self._left = log, target, writes
        log.listeners.add(self._appended)

    def _appended(self, topic: str, partition: int, end: int) -> None:
        if topic == OFFSETS:
            return
        self._left -= 1
        if self._left == 0:
            self.disarm()
            copy_log(self._log.directory, self._target)
            self.done = True

    def disarm(self) -> None:
        """Copy nothing any more."""
        self._log.listeners.discard(self._appended)

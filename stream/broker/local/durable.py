"""The directory of a log: what makes a file survive a power cut."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from stream.broker.directory import open_private

TEMPORARY: Final = ".tmp"  # of files that don't count yet


def write_durably(path: Path, content: str) -> None:
    """Write a small file, whole or not at all."""
    temporary = path.with_suffix(TEMPORARY)
    with open(temporary, "w", opener=open_private) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)


def sync_directory(*directories: Path) -> None:
    """Make durable which files there are in some directories."""
    for directory in directories:
        fd = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

"""The directory of a log: who holds it, and what makes a file survive a power cut."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

from stream.config import ConfigError

TEMPORARY: Final = ".tmp"  # of files that don't count yet


def hold(directory: Path) -> int:
    """Make the directory and lock it; closing the descriptor, or dying, unlocks it.

    Raises
    ------
    ConfigError
        When it can't be written, or another process has it.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        held = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise ConfigError(
            f"broker: cannot write to {directory}: {error.strerror}; "
            "choose a directory that can be written, as in local:///var/lib/offerstream"
        ) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(held, 20).decode(errors="replace").strip() or "unknown"
        os.close(held)
        raise ConfigError(
            f"broker: {directory} is open already, in process {holder}; "
            "stop that one, or choose another directory"
        ) from error
    os.truncate(held, 0)
    os.write(held, b"%d\n" % os.getpid())
    return held


def write_durably(path: Path, content: str) -> None:
    """Write a small file, whole or not at all."""
    temporary = path.with_suffix(TEMPORARY)
    with temporary.open("w") as file:
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

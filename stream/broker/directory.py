"""Directories that are ours: writable, nobody else's at the same time, and private."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from stream.config import ConfigError


def ensure_writable(directory: Path, setting: str) -> None:
    """Make ``directory`` if it is missing, and see that a file can be written there.

    Raises
    ------
    ConfigError
        If not; it names ``setting``.
    """
    try:
        make_private(directory)
        with TemporaryFile(dir=directory) as file:
            file.write(b"offerstream")
    except OSError as error:
        raise _unwritable(directory, setting, error) from error


def make_private(directory: Path) -> None:
    """Make a directory if it is missing: what customers did is nobody else's to read."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def open_private(path: str, flags: int) -> int:
    """Open a file, which nobody else may read if it is new: an ``opener``."""
    return os.open(path, flags, 0o600)


def hold(directory: Path, setting: str) -> int:
    """Make the directory and lock it; closing the descriptor, or dying, unlocks it.

    Raises
    ------
    ConfigError
        If it cannot be written, or another process has it; it names ``setting``.
    """
    try:
        make_private(directory)
        held = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unwritable(directory, setting, error) from error
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(held, 20).decode(errors="replace").strip() or "unknown"
        os.close(held)
        raise ConfigError(
            f"{setting}: {directory} is open already, in process {holder}; "
            f"stop that one, or choose another directory ({_variable(setting)})"
        ) from error
    os.truncate(held, 0)
    os.write(held, b"%d\n" % os.getpid())
    return held


@contextmanager
def held(directory: Path, setting: str) -> Iterator[None]:
    """Hold a directory for as long as the context lasts; see `hold`."""
    descriptor = hold(directory, setting)
    try:
        yield
    finally:
        os.close(descriptor)


def _unwritable(directory: Path, setting: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"{setting}: cannot write to {directory}: {error.strerror}; choose a directory that "
        f"can be written ({_variable(setting)})"
    )


def _variable(setting: str) -> str:
    return f"OFFERSTREAM_{setting.upper().replace('.', '__')}"

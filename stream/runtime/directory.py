"""Directories that must be writable, found out before anything depends on them."""

from __future__ import annotations

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
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory) as file:
            file.write(b"offerstream")
    except OSError as error:
        raise ConfigError(
            f"{setting}: cannot write to {directory}: {error.strerror}; choose a directory that "
            f"can be written (OFFERSTREAM_{setting.upper().replace('.', '__')})"
        ) from error

"""One file among those that are read: told from its name apart, its bytes whatever they are."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final

from stream.config import ConfigError
from stream.reading.streams import CHUNK

_SAMPLE: Final = 1 << 16


class InputSource:
    """A file, a member of a zip archive, or what came on standard input.

    Parameters
    ----------
    path
        Of the file.
    member
        Of it, where it is a zip archive of several.
    spool
        Its bytes, where they are in no file that has a name.

    Attributes
    ----------
    name
        What messages call it.
    size
        Bytes, as packed.
    fingerprint
        Of its content: the same for a copy under another name.

    Raises
    ------
    ConfigError
        It is not there, or it cannot be read.
    """

    def __init__(
        self, path: Path, member: str | None = None, spool: BinaryIO | None = None
    ) -> None:
        self.path = path
        self.member = member
        self.name = str(path) if member is None else f"{path}:{member}"
        self._spool = spool
        with self.opened() as file:
            try:
                self.size = file.seek(0, io.SEEK_END)
                self.fingerprint = _fingerprint(file, self.size, member)
            except OSError as error:
                raise ConfigError(f"{self.name}: cannot be read: {error.strerror}") from error

    @property
    def short_name(self) -> str:
        """Its name without the folders."""
        return self.path.name if self.member is None else f"{self.path.name}:{self.member}"

    @property
    def is_file(self) -> bool:
        """Whether it is in a file that has a name."""
        return self._spool is None

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """Open the file's bytes, at their start."""
        if self._spool is not None:
            self._spool.flush()
            with os.fdopen(os.dup(self._spool.fileno()), "rb", CHUNK) as again:
                again.seek(0)
                yield again
            return
        try:
            file = self.path.open("rb", buffering=CHUNK)
        except OSError as error:
            raise ConfigError(f"{self.name}: cannot be read: {error.strerror}") from error
        with file:
            yield file


def _fingerprint(file: BinaryIO, size: int, member: str | None) -> str:
    """Hash the size and both ends: cheap on a file of any size, and told from its name apart."""
    file.seek(0)
    digest = blake2b(f"{size}:".encode(), digest_size=6)
    digest.update(file.read(_SAMPLE))
    file.seek(max(0, size - _SAMPLE))
    digest.update(file.read(_SAMPLE))
    if member is not None:
        digest.update(member.encode(errors="surrogateescape"))
    return digest.hexdigest()

"""What people name on a command line (files, globs, directories, ``-``) → sources to read.

Rules:

- The order is that of the arguments; what a glob, a directory or an archive holds is in the order
  of names, numbers in them by their value.
- A file that is named twice is read once. What is hidden (``.x``, ``_SUCCESS``) or added by a
  system is passed over in directories and archives, and read where it is named itself.
- Standard input is kept in a temporary file: it is read twice.
"""

from __future__ import annotations

import re
import stat
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from glob import glob, has_magic
from os import walk
from pathlib import Path
from typing import BinaryIO, Final

from stream.config import ConfigError
from stream.reading.source import InputSource
from stream.reading.streams import CHUNK
from stream.reading.unpacking import is_added, members_of

STANDARD_INPUT: Final = Path("-")
_MOST: Final = 100_000
_DIGITS: Final = re.compile(r"(\d+)")

Tick = Callable[[int], None]


def sources(paths: Iterable[Path | str], tick: Tick = lambda done: None) -> list[InputSource]:
    """Find what is to be read.

    Parameters
    ----------
    paths
        Files, globs, directories, or ``-`` for standard input.
    tick
        Told the bytes of standard input so far.

    Raises
    ------
    ConfigError
        One of them is not there, holds nothing, or cannot be read.
    """
    found: list[InputSource] = []
    seen: set[tuple[int, int]] = set()
    for path in map(Path, paths):
        if path == STANDARD_INPUT:
            found.append(_standard_input(tick))
            continue
        for file in _files(path):
            identity = _identity(file)
            if identity not in seen:
                seen.add(identity)
                found += _sources_in(file, tick)
        if len(found) > _MOST:
            raise ConfigError(f"{path}: these are over {_MOST:,} files: name fewer")
    return found


def one_source(path: Path) -> InputSource:
    """A source where only one makes sense, such as a file of questions."""
    found = sources([path])
    if len(found) != 1:
        raise ConfigError(f"{path}: holds {len(found)} files, and only one can be read here")
    return found[0]


def told(found: Sequence[InputSource]) -> str:
    """Name what is read, in few words.

    >>> told([]), told([InputSource(Path(__file__))]) == __file__
    ('nothing', True)
    """
    if not found:
        return "nothing"
    return found[0].name if len(found) == 1 else f"{found[0].name} and {len(found) - 1} more"


def _identity(file: Path) -> tuple[int, int]:
    try:
        status = file.stat()
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    return status.st_dev, status.st_ino


def _files(path: Path) -> list[Path]:
    try:
        if path.is_dir():
            return _in_directory(path)
        if path.exists() or not has_magic(str(path)):
            return [path]
        names = glob(str(path), recursive=True)  # noqa: PTH207 - a pattern may begin anywhere
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: cannot be read: {_why(error)}") from error
    matches = [Path(name) for name in sorted(names, key=_by_numbers)]
    files = [file for match in matches for file in ([match] if match.is_file() else [])]
    if not files:
        raise ConfigError(f"{path}: no file is named like this")
    return files


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _in_directory(path: Path) -> list[Path]:
    files: list[Path] = []
    for folder, folders, names in walk(path, onerror=_refused):
        folders[:] = sorted((n for n in folders if not _hidden(n)), key=_by_numbers)
        files += [Path(folder) / name for name in names if not _hidden(name)]
    files = [file for file in files if file.is_file()]
    if not files:
        raise ConfigError(f"{path}: is a directory without files to read")
    return sorted(files, key=lambda file: _by_numbers(str(file)))


def _refused(error: OSError) -> None:
    raise ConfigError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _hidden(name: str) -> bool:
    return name.startswith((".", "_")) or is_added(name)


def _by_numbers(name: str) -> list[tuple[int, int, str]]:
    """Sort ``day-2`` before ``day-10``.

    >>> sorted(["day-10", "day-2", "a"], key=_by_numbers)
    ['a', 'day-2', 'day-10']
    """
    parts = _DIGITS.split(name)
    return [(0, int(part), "") if number % 2 else (1, 0, part) for number, part in enumerate(parts)]


def _sources_in(file: Path, tick: Tick) -> Iterator[InputSource]:
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):  # a pipe, such as of <(command)
        if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
            with file.open("rb") as stream:
                yield InputSource(file, spool=_spooled(stream, tick))
            return
        raise ConfigError(f"{file}: is no file that can be read")
    source = InputSource(file)
    with source.opened() as raw:
        names = members_of(raw, source.name)
    if len(names) < 2:
        yield source
    for name in sorted(names, key=_by_numbers) if len(names) > 1 else ():
        if not _hidden(name.rpartition("/")[2]):
            yield InputSource(file, name)


def _standard_input(tick: Tick) -> InputSource:
    stream = getattr(sys.stdin, "buffer", None)
    if stream is None or sys.stdin.isatty():
        raise ConfigError("-: nothing comes on standard input: cat FILE | offerstream …, or FILE")
    return InputSource(Path("standard input"), spool=_spooled(stream, tick))


def _spooled(stream: BinaryIO, tick: Tick) -> BinaryIO:
    spool: BinaryIO = tempfile.TemporaryFile(prefix="offerstream-")  # noqa: SIM115 - lives as long as the source
    done = 0
    while chunk := stream.read(CHUNK):
        spool.write(chunk)
        done += len(chunk)
        tick(done)
    return spool

"""Files that a command writes: never over what it reads, and whole or not at all.

Rules:

- Every output is compared, by device and inode, with every input and every other output, before
  anything is opened. That a directory is absent or cannot be written is said then, too.
- What is written goes to a file beside, which takes the output's name when the command is done; if
  the command fails, what was there before stays.
- What is no regular file (``/dev/stdout``, a pipe) is written as it is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from stream.config import ConfigError


@contextmanager
def outputs(
    wanted: Mapping[str, Path | None], inputs: Iterable[Path] = ()
) -> Iterator[dict[str, BinaryIO]]:
    """Open the files that options name; each takes its name when all went well.

    Parameters
    ----------
    wanted
        The path by the option that names it; None where it was not given.
    inputs
        What the command reads.

    Raises
    ------
    ConfigError
        An output is an input, or another output, or cannot be written.
    """
    paths = {option: path for option, path in wanted.items() if path is not None}
    check(paths, inputs)
    with ExitStack() as stack:
        yield {option: stack.enter_context(_beside(path)) for option, path in paths.items()}


def check(paths: Mapping[str, Path], inputs: Iterable[Path] = ()) -> None:
    """Raise ``ConfigError`` for an output that would destroy something, or cannot be written."""
    read = [path for path in inputs if path.exists()]
    for option, path in paths.items():
        for other in read:
            if _same(path, other):
                raise ConfigError(
                    f"{option} {path} is {other}, which is read: name another file to write"
                )
        for name, other in paths.items():
            if name < option and _same(path, other):
                raise ConfigError(f"{option} and {name} are both {path}: name two files")
        _check_writable(option, path)


def _same(one: Path, other: Path) -> bool:
    if not _is_regular(one) and one.exists():
        return False
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there yet: it is the same if it will be
        return one.resolve() == other.resolve()


def _is_regular(path: Path) -> bool:
    return path.is_file() or not path.exists()


def _check_writable(option: str, path: Path) -> None:
    target = path.resolve()
    if target.is_dir():
        raise ConfigError(f"{option} {path} is a directory: name a file")
    if not target.parent.is_dir():
        raise ConfigError(f"{option} {path}: there is no directory {target.parent}: make it first")
    place = target.parent if _is_regular(path) else target
    if not os.access(place, os.W_OK) or (target.is_file() and not os.access(target, os.W_OK)):
        raise ConfigError(f"{option} {path}: cannot be written: Permission denied")


@contextmanager
def _beside(path: Path) -> Iterator[BinaryIO]:
    """A file that replaces ``path`` at the end, or is removed where that ends badly."""
    try:
        if not _is_regular(path):
            with path.open("wb") as stream:
                yield stream
            return
        target = path.resolve()
        number, name = tempfile.mkstemp(prefix=f".{target.name[:60]}.", dir=target.parent)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}") from error
    made = Path(name)
    try:
        with cast(BinaryIO, os.fdopen(number, "wb")) as stream:
            yield stream
        if target.exists():
            made.chmod(target.stat().st_mode & 0o777)
        made.replace(target)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def files_of(paths: Iterable[Path]) -> list[Path]:
    """The files behind what a command reads, directories' included."""
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += [file for file in path.rglob("*") if file.is_file()]
        else:
            found.append(path)
    return found

"""Room for what inflates: memory of a fixed size, whatever the bytes claim to become.

cramjam raises Rust's panics beside its own errors; all of them mean that the bytes are damaged.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from mmap import mmap
from typing import Any, Final, TypeAlias

from stream.codec.batches.recordbatch import Damaged

USUAL_RATIO: Final = 16
LEAST_ROOM: Final = 16 << 10
Inflate: TypeAlias = Callable[[Any, Any], int]
"""Writes what bytes become into a buffer; the number of bytes written."""


def into_room(inflate: Inflate, data: bytes, limit: int, before: int = 0) -> bytearray:
    """Inflate into room that is mostly enough; if it is not, into as much as there may be.

    Parameters
    ----------
    limit
        Of what comes out, in bytes.
    before
        Zeros to put in front of it.

    Raises
    ------
    Damaged
        If the bytes do not inflate, or to more than ``limit``.
    """
    usual = min(limit, len(data) * USUAL_RATIO + LEAST_ROOM)
    made = bytearray(before + usual)
    with memoryview(made) as view, view[before:] as room, suppress(Damaged):
        size = tried(inflate, data, room)
        room.release()
        view.release()
        del made[before + size :]
        return made
    with mmap(-1, limit) as pages:  # no memory yet, where nobody has written
        size = tried(inflate, data, pages)
        return bytearray(before) + pages[:size]


def tried(inflate: Inflate, data: bytes, room: Any) -> int:
    """Inflate into a buffer; the number of bytes written.

    Raises
    ------
    Damaged
        If the bytes do not inflate, or there is too little room.
    """
    with heard():
        return inflate(data, room)


@contextmanager
def heard() -> Iterator[None]:
    """Hear of damage; a panic of Rust's is no ``Exception``."""
    try:
        yield
    except (Damaged, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise Damaged("it does not inflate") from error

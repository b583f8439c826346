"""Inflating what producers compressed, never into more memory than is allowed.

No codec is believed: some kilobytes may claim to be, and be, gigabytes. So what is to be held is
inflated into room of a fixed size, and what does not fit there is streamed. cramjam has no streams
that end where we say, but it writes to files, and a pipe is one: whoever stops reading stops it.
Everything here may take long, and lets other threads run meanwhile.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Generator
from gzip import GzipFile
from io import BytesIO
from struct import unpack_from
from threading import Thread
from typing import Final

import cramjam

from stream.codec.batches.recordbatch import Damaged
from stream.codec.batches.room import Inflate, heard, into_room, tried

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
Chunks = Generator[bytes, None, None]
CHUNK: Final = 1 << 20
LARGEST_BLOCK: Final = 32 << 20  # bytes that snappy, which has no streams, may say that a block has

_XERIAL: Final = b"\x82SNAPPY\0"
_XERIAL_HEAD: Final = 16
_INTO: Final[dict[int, Inflate]] = {
    LZ4: cramjam.lz4.decompress_into,
    ZSTD: cramjam.zstd.decompress_into,
}


def inflated(codec: int, data: bytes | memoryview, limit: int, before: int = 0) -> bytearray:
    """Inflate into memory, behind ``before`` bytes of zeros.

    Raises
    ------
    Damaged
        If the codec is unknown, the bytes are not its, or they make more than ``limit``.
    """
    if codec in _INTO:
        return into_room(_INTO[codec], bytes(data), limit, before)
    made = bytearray(before)
    for piece in streamed(codec, data):
        if len(made) - before + len(piece) > limit:
            raise Damaged(f"it inflates to more than {limit} bytes")
        made += piece
    return made


def streamed(codec: int, data: bytes | memoryview) -> Chunks:
    """Inflate piece by piece; whoever wants no more closes the iterator.

    Raises
    ------
    Damaged
        On the way, if the codec is unknown or the bytes are not its.
    """
    if codec in _INTO:
        return _through_pipe(_INTO[codec], bytes(data))
    if codec == GZIP:
        return _gunzipped(bytes(data))
    if codec == SNAPPY:
        return _unsnapped(bytes(data))
    raise Damaged(f"codec {codec} is unknown")


def _gunzipped(data: bytes) -> Chunks:
    with GzipFile(fileobj=BytesIO(data)) as file:
        try:
            while piece := file.read(CHUNK):
                yield piece
        except (OSError, EOFError, zlib.error) as error:
            raise Damaged("it does not inflate") from error


def _unsnapped(data: bytes) -> Chunks:
    """One block, or several behind their lengths, as snappy-java writes them."""
    if not data.startswith(_XERIAL) or len(data) < _XERIAL_HEAD:
        yield _block(data)
        return
    at = _XERIAL_HEAD
    while at < len(data):
        size = unpack_from(">i", data, at)[0] if len(data) - at >= 4 else -1
        at += 4
        if not 0 <= size <= len(data) - at:
            raise Damaged("it ends too early")
        yield _block(data[at : at + size])
        at += size


def _block(data: bytes) -> bytes:
    with heard():
        if cramjam.snappy.decompress_raw_len(data) > LARGEST_BLOCK:
            raise Damaged(f"a block inflates to more than {LARGEST_BLOCK} bytes")
        return bytes(cramjam.snappy.decompress_raw(data))


def _through_pipe(inflate: Inflate, data: bytes) -> Chunks:
    reading, writing = os.pipe()
    faults: list[str] = []

    def write() -> None:
        try:
            try:
                end = cramjam.File(f"/dev/fd/{writing}", read=False, write=True, truncate=False)
            finally:
                os.close(writing)
            tried(inflate, data, end)
        except OSError:
            faults.append("there was no pipe to inflate it through")
        except Damaged as error:
            faults.append(str(error))  # with its trace it would hold the pipe open

    writer = Thread(target=write, daemon=True)
    writer.start()
    try:
        while piece := os.read(reading, CHUNK):
            yield piece
    finally:
        os.close(reading)
        writer.join()
    if faults:
        raise Damaged(faults[0])

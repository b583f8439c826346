"""MessagePack written by kernels into an `OUT`: the few kinds of values that examples are made of.

References
----------
The MessagePack specification, version 2.0: https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.decide.rows.layout import Bytes, Table
from stream.models.base.kernel import kernel

NIL: Final = 0xC0


@kernel
def begin(writer: Table) -> None:
    """Begin anew: nothing is written."""
    writer["size"] = 0
    writer["count"] = 0


@kernel
def put_byte(writer: Table, byte: int) -> None:
    """Write one byte, as of a short list's head."""
    at = writer["size"]
    writer["bytes"][at] = byte
    writer["size"] = at + 1


@kernel
def put_head(writer: Table, fields: int, tag: int) -> None:
    """Begin an example: its tag, and the number of its fields, fewer than 16."""
    put_byte(writer, 0x92)
    put_byte(writer, tag)
    put_byte(writer, 0x90 | fields)
    writer["count"] += 1


@kernel
def put_list(writer: Table, n: int) -> None:
    """Begin a list of n entries, fewer than 65,536."""
    if n < 16:
        put_byte(writer, 0x90 | n)
    else:
        put_byte(writer, 0xDC)
        _put_digits(writer, n, 2)


@kernel
def put_number(writer: Table, number: int) -> None:
    """Write an integer in as few bytes as it takes."""
    if number < 0:
        _put_negative(writer, number)
    elif number < 128:
        put_byte(writer, number)
    elif number < 1 << 8:
        put_byte(writer, 0xCC)
        _put_digits(writer, number, 1)
    elif number < 1 << 16:
        put_byte(writer, 0xCD)
        _put_digits(writer, number, 2)
    elif number < 1 << 32:
        put_byte(writer, 0xCE)
        _put_digits(writer, number, 4)
    else:
        put_byte(writer, 0xCF)
        _put_digits(writer, number, 8)


@kernel
def put_optional(writer: Table, number: int, missing: int) -> None:
    """Write an integer, or nothing where it is the one that says so."""
    if number == missing:
        put_byte(writer, NIL)
    else:
        put_number(writer, number)


@kernel
def put_float(writer: Table, number: float) -> None:
    """Write a number of 64 bits."""
    put_byte(writer, 0xCB)
    digits = np.array([number]).view(np.uint8)
    for at in range(7, -1, -1):
        put_byte(writer, digits[at])


@kernel
def put_text(writer: Table, text: Bytes) -> None:
    """Write a text of fewer than 65,536 bytes of UTF-8."""
    n = len(text)
    if n < 32:
        put_byte(writer, 0xA0 | n)
    elif n < 1 << 8:
        put_byte(writer, 0xD9)
        _put_digits(writer, n, 1)
    else:
        put_byte(writer, 0xDA)
        _put_digits(writer, n, 2)
    _put_all(writer, text)


@kernel
def put_bytes(writer: Table, data: Bytes) -> None:
    """Write bytes, fewer than 256."""
    put_byte(writer, 0xC4)
    put_byte(writer, len(data))
    _put_all(writer, data)


@kernel
def _put_all(writer: Table, data: Bytes) -> None:
    at = writer["size"]
    end = at + len(data)
    writer["bytes"][at:end] = data
    writer["size"] = end


@kernel
def _put_negative(writer: Table, number: int) -> None:
    if number >= -32:
        put_byte(writer, 256 + number)
        return
    size, tag = 1, 0xD0
    while number < -(1 << (8 * size - 1)):
        size, tag = size * 2, tag + 1
    put_byte(writer, tag)
    _put_digits(writer, number, size)


@kernel
def _put_digits(writer: Table, number: int, size: int) -> None:
    """The last bytes of a number, the highest first."""
    for at in range(size - 1, -1, -1):
        put_byte(writer, (number >> (8 * at)) & 255)

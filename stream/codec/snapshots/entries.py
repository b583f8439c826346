"""A state's entries as bytes: names, tags and values, little-endian, sorted by name.

Rules
-----
- An entry is the name's length (u16) and UTF-8, a tag, and the value: ``i`` i64, ``f`` f64,
  ``s`` and ``l`` a length (u32) and UTF-8 or JSON, ``a`` an array: dtype code (u8), number of
  dimensions (u8), each dimension (u64), and the raw elements in C order.
- JSON keeps integers of 64 bits and finite floats exactly; nothing else may be in a list.
- Reading checks every length against what is left before it takes or allocates anything.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.models.base.state import State, StateValue

DTYPES = ("|u1", "<u2", "<u4", "<u8", "|i1", "<i2", "<i4", "<i8", "<f4", "<f8", "|b1")
_CODES = {np.dtype(name): code for code, name in enumerate(DTYPES)}
_BY_CODE = [np.dtype(name) for name in DTYPES]
_MAX_DIMENSIONS = 8
_MAX_DEPTH = 8


class EntryError(ValueError):
    """Bytes that are not entries; says what is wrong with them."""


def pack_state(state: Mapping[str, StateValue]) -> bytes:
    """Return the canonical bytes of a state.

    Raises
    ------
    ValueError
        If it holds a value of a kind that a state may not hold.
    """
    parts = [struct.pack("<I", len(state))]
    for name in sorted(state):
        text = name.encode()
        parts += [struct.pack("<H", len(text)), text, *_pack(name, state[name])]
    return b"".join(parts)


def unpack_state(data: bytes, at: int) -> tuple[State, int]:
    """Return the state that begins at a position, and the position after it.

    Raises
    ------
    EntryError
        If the bytes are not what `pack_state` writes.
    """
    reader = _Reader(data, at)
    state: State = {}
    last = ""
    for count in range(reader.number("<I")):
        name = _text(reader.take(reader.number("<H")))
        if count and name <= last:
            raise EntryError("entries are out of order")
        state[name] = _unpack(reader)
        last = name
    return state, reader.at


def _pack(name: str, value: StateValue) -> list[bytes]:
    if isinstance(value, np.ndarray):
        return _pack_array(name, value)
    if isinstance(value, list):
        _check_list(name, value, 0)
        return _sized(b"l", orjson.dumps(value))
    if type(value) is int:
        return [b"i", struct.pack("<q", value)]
    if type(value) is float:
        return [b"f", struct.pack("<d", value)]
    if type(value) is str:
        return _sized(b"s", value.encode())
    raise ValueError(f"{name}: a {type(value).__name__} cannot be in a snapshot")


def _sized(tag: bytes, payload: bytes) -> list[bytes]:
    return [tag, struct.pack("<I", len(payload)), payload]


def _pack_array(name: str, value: npt.NDArray[Any]) -> list[bytes]:
    code = _CODES.get(value.dtype.newbyteorder("<"))
    if code is None or value.ndim > _MAX_DIMENSIONS:
        raise ValueError(f"{name}: {value.ndim}-dimensional {value.dtype} cannot be in a snapshot")
    shape = struct.pack(f"<BB{value.ndim}Q", code, value.ndim, *value.shape)
    return [b"a", shape, np.ascontiguousarray(value, dtype=_BY_CODE[code]).tobytes()]


def _check_list(name: str, values: list[Any], depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{name}: lists nested deeper than {_MAX_DEPTH}")
    for value in values:
        kind = type(value)
        if kind is list:
            _check_list(name, value, depth + 1)
        elif kind is float:
            if not math.isfinite(value):
                raise ValueError(f"{name}: a list may not hold {value}")
        elif kind is not int and kind is not str:
            raise ValueError(f"{name}: a list may not hold a {kind.__name__}")


class _Reader:
    """Takes bytes one after the other, never more than there are."""

    def __init__(self, data: bytes, at: int) -> None:
        self.data = data
        self.at = at

    def take(self, length: int) -> bytes:
        end = self.at + length
        if end > len(self.data):
            raise EntryError("an entry is cut")
        taken = self.data[self.at : end]
        self.at = end
        return taken

    def number(self, form: str) -> int:
        value: int
        (value,) = struct.unpack(form, self.take(struct.calcsize(form)))
        return value


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise EntryError("a text is not UTF-8") from None


def _unpack(reader: _Reader) -> StateValue:
    tag = reader.take(1)
    if tag == b"i":
        return reader.number("<q")
    if tag == b"f":
        return float(struct.unpack("<d", reader.take(8))[0])
    if tag == b"s":
        return _text(reader.take(reader.number("<I")))
    if tag == b"l":
        return _unpack_list(reader.take(reader.number("<I")))
    if tag == b"a":
        return _unpack_array(reader)
    raise EntryError(f"unknown tag {tag!r}")


def _unpack_list(data: bytes) -> list[Any]:
    try:
        values = orjson.loads(data)
        if not isinstance(values, list):
            raise EntryError("a list is not a list")
        _check_list("a list", values, 0)
    except ValueError as error:
        raise EntryError(str(error)) from None
    return values


def _unpack_array(reader: _Reader) -> npt.NDArray[Any]:
    code, dimensions = reader.take(2)
    if code >= len(_BY_CODE) or dimensions > _MAX_DIMENSIONS:
        raise EntryError("an array of an unknown dtype, or with too many dimensions")
    shape = tuple(reader.number("<Q") for _ in range(dimensions))
    dtype = _BY_CODE[code]
    raw = reader.take(math.prod(shape) * dtype.itemsize)
    if dtype.kind == "b" and raw.strip(b"\0\1"):
        raise EntryError("a truth value is neither 0 nor 1")
    try:
        return np.frombuffer(raw, dtype=dtype).reshape(shape).copy()
    except (ValueError, OverflowError) as error:
        raise EntryError(str(error)) from None

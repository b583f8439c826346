"""Customers' records and partitions' ledgers: MessagePack behind a version byte.

A record is written for every changed customer of every batch, so it is kept short and quick:
fields stand in order, without names. A changed order or meaning of fields is a new version.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from stream.core.due import Page
from stream.core.ledger import Ledger
from stream.core.state import CustomerState

T = TypeVar("T")
VERSION = 1
_PREFIX = bytes([VERSION])
_encode = msgspec.msgpack.Encoder().encode
_decode_state = msgspec.msgpack.Decoder(CustomerState).decode
_decode_ledger = msgspec.msgpack.Decoder(Ledger).decode
_decode_page = msgspec.msgpack.Decoder(Page).decode


class StateError(Exception):
    """A stored record that this version cannot read: never skipped, never guessed at."""


def encode_state(state: CustomerState) -> bytes:
    """A customer's record as bytes.

    >>> from stream.core.state import NEW_CUSTOMER
    >>> decode_state(encode_state(NEW_CUSTOMER)) == NEW_CUSTOMER
    True
    """
    return _PREFIX + _encode(state)


def decode_state(data: bytes) -> CustomerState:
    """The customer's record that ``encode_state`` wrote.

    Raises
    ------
    StateError
        If the version is unknown or the bytes are damaged.
    """
    return _checked(data, _decode_state)


def encode_ledger(ledger: Ledger) -> bytes:
    """A partition's ledger as bytes."""
    return _PREFIX + _encode(ledger)


def decode_ledger(data: bytes) -> Ledger:
    """The ledger that ``encode_ledger`` wrote.

    Raises
    ------
    StateError
        If the version is unknown or the bytes are damaged.
    """
    return _checked(data, _decode_ledger)


def encode_page(page: Page) -> bytes:
    """A page of the queue of due labels as bytes."""
    return _PREFIX + _encode(page)


def decode_page(data: bytes) -> Page:
    """The page that ``encode_page`` wrote.

    Raises
    ------
    StateError
        If the version is unknown or the bytes are damaged.
    """
    return _checked(data, _decode_page)


def _checked(data: bytes, decode: Callable[[bytes], T]) -> T:
    if data[:1] != _PREFIX:
        raise StateError(f"a record of version {data[:1]!r}; this release reads {VERSION}")
    try:
        return decode(data[1:])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise StateError(f"a damaged record: {error}") from error

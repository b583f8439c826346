"""Claims on budgets as records of their topic, which workers alone write and read."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from stream.decide.campaigns.budgets import Claim

MOST: Final = 1 << 53
_Amount = Annotated[int, Meta(ge=0, le=MOST)]


class _Claim(msgspec.Struct):
    campaign_id: Annotated[str, Meta(min_length=1, max_length=128)]
    partition: Annotated[int, Meta(ge=0, lt=1 << 31)]
    knows: _Amount
    want: _Amount
    limit: _Amount


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Claim).decode


def encode_claim(claim: Claim) -> bytes:
    """A claim as JSON.

    >>> decode_claim(encode_claim(Claim("spring", 3, 0, 5, 100))).want
    5
    """
    return _encode(claim._asdict())


def decode_claim(value: bytes | None) -> Claim:
    """The claim in a record's value; ValueError if it is none."""
    try:
        told = _decode(value or b"")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"no claim: {error}") from error
    return Claim(told.campaign_id, told.partition, told.knows, told.want, told.limit)

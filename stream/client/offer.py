"""Offers as a reader sees them: the JSON of ``schemas/offers`` as values, or why it is none.

Rules. Fields that this release does not know are passed over, so that an older reader goes on with
a newer worker. Of what is wrong nothing raises: the record is ``None``, and the reader counts it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import msgspec


class Item(msgspec.Struct, frozen=True, gc=False):
    """One product of an offer; prices in minor units of the offer's currency."""

    product_id: str
    score: float
    source: str
    reason: str
    because: str | None = None
    price_minor: int | None = None
    final_price_minor: int | None = None
    name: str | None = None
    image: str | None = None
    link: str | None = None


class Segment(msgspec.Struct, frozen=True, gc=False):
    """The customer's segment when the offer was made."""

    id: int
    name: str | None = None


class Offer(msgspec.Struct, frozen=True):
    """An offer that was made to a customer; its items are best first."""

    schema_version: int
    offer_id: str
    customer_id: str
    campaign_id: str
    strategy: str
    ladder: str
    items: tuple[Item, ...]
    discount_percent: int
    currency: str
    arm: str
    assignment_probability: float
    explored: bool
    segment: Segment | None
    learned_through: int
    issued_at: datetime
    expires_at: datetime
    placement: str | None = None
    channel: str | None = None

    @property
    def issued(self) -> int:
        """Stream time of the decision, in ms since 1970."""
        return _milliseconds(self.issued_at)

    @property
    def expires(self) -> int:
        """From when on it must not be shown, in ms since 1970."""
        return _milliseconds(self.expires_at)


class Recall(msgspec.Struct, frozen=True):
    """The word that an offer must not be shown any more; ``recalled_at`` in ms since 1970."""

    schema_version: int
    recalled: bool
    offer_id: str
    customer_id: str
    recalled_at: int
    reason: str


class _Kind(msgspec.Struct, frozen=True):
    recalled: bool = False


_kind: Final = msgspec.json.Decoder(_Kind).decode
_offer: Final = msgspec.json.Decoder(Offer).decode
_recall: Final = msgspec.json.Decoder(Recall).decode
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read_offer(value: bytes) -> Offer:
    """Return the offer in a record's value.

    Raises
    ------
    msgspec.MsgspecError, ValueError
        If it is none.
    """
    offer = _offer(value)
    if offer.schema_version != 1:
        raise ValueError("another major version")
    if offer.issued_at.tzinfo is None or offer.expires_at.tzinfo is None:
        raise ValueError("a time without an offset")
    return offer


def read_record(key: bytes | None, value: bytes | None) -> Offer | Recall | None:
    """Return what a record of the topic ``offers`` says; None if it is neither of both.

    >>> read_record(b"c-7", b'{"offer_id": "of-1"}') is None
    True
    """
    if key is None or value is None:
        return None
    try:
        said = _read(value)
        return said if said.customer_id.encode() == key else None
    except (msgspec.MsgspecError, ValueError, RecursionError):  # ValueError: UTF-8, surrogates
        return None


def _read(value: bytes) -> Offer | Recall:
    if not _kind(value).recalled:
        return read_offer(value)
    recall = _recall(value)
    if recall.schema_version != 1:
        raise ValueError("another major version")
    return recall


def _milliseconds(time: datetime) -> int:
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000

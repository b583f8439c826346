"""Clients for services that publish events to offerstream, or show its offers.

- :class:`stream.client.OfferReader` follows the topic ``offers`` and keeps what each customer may
  be shown now, in memory.
- :class:`stream.client.EventProducer` checks events, sends them and says what became of each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stream.client.offer import Item, Offer
    from stream.client.producer import EventProducer
    from stream.client.reader import OfferReader

__all__ = ["EventProducer", "Item", "Offer", "OfferReader"]

_PLACES = {
    "EventProducer": "stream.client.producer",
    "Item": "stream.client.offer",
    "Offer": "stream.client.offer",
    "OfferReader": "stream.client.reader",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for: who asks for little need not wait for all."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PLACES[name]), name)

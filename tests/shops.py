"""Shops under test, for tests that are about what a shop sends and gets: `stream.testing`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from stream.codec.events.decoding import encode
from stream.config import PolicySettings
from stream.domain.event import CatalogItem, Event
from stream.testing import Driver
from stream.testing.posting import moment
from tests.builders import DAY, NEW_ITEMS, NOON, OPEN
from tests.topology.embedded import KINDS, settings_in

STOCK = [CatalogItem(item, added=NOON - DAY) for item in NEW_ITEMS]


def shop_of(policy: PolicySettings = OPEN, partitions: int = 1, **options: Any) -> Driver:
    """A shop that opens at `NOON`, with two new items in the catalog and small models."""
    settings = settings_in(Path("anywhere"), partitions, policy)
    return Driver(settings, **{"catalog": STOCK, "start": moment(NOON), **options})


def happen(shop: Driver, *events: Event) -> Counter[str]:
    """Have events happen, all in one go."""
    return shop.publish_all((KINDS[type(event).__name__], encode(event)) for event in events)

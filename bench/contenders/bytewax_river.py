"""The whole job on Bytewax with river."""

from __future__ import annotations

from typing import Any

import orjson

from bench.contenders.on_bytewax import work
from bench.contenders.shop import Record, Shop, check
from bench.told import Told

_shop = Shop()


def decide(customer: Record | None, message: Any) -> tuple[Record, tuple[bytes, ...]]:
    """One click."""
    click = orjson.loads(message.value)
    check(click)
    customer, offer = _shop.take(customer or {}, click)
    return customer, () if offer is None else (orjson.dumps(offer),)


if __name__ == "__main__":
    work(Told.told(), decide)

"""The whole job on Pathway with river."""

from __future__ import annotations

import orjson

from bench.contenders.on_pathway import Row, work
from bench.contenders.shop import Shop, check
from bench.told import Told

_shop = Shop()


def decide(stored: bytes | None, row: Row) -> tuple[bytes, bytes | None]:
    """One click; the customer's record is JSON, as Pathway's values have no dictionaries."""
    click = orjson.loads(row[0])
    check(click)
    customer, offer = _shop.take({} if stored is None else orjson.loads(stored), click)
    return orjson.dumps(customer), None if offer is None else orjson.dumps(offer)


if __name__ == "__main__":
    work(Told.told(), decide)

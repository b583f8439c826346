"""The state job on Pathway."""

from __future__ import annotations

import orjson

from bench.contenders.on_pathway import Row, work
from bench.contenders.tally import decode, take
from bench.told import Told


def decide(stored: bytes | None, row: Row) -> tuple[bytes, bytes | None]:
    """One click; the customer's record is JSON, as Pathway's values have no dictionaries."""
    value, partition, offset = row
    known = None if stored is None else orjson.loads(stored)
    customer, offer = take(known, decode(value), partition, offset)
    return orjson.dumps(customer), None if offer is None else orjson.dumps(offer)


if __name__ == "__main__":
    work(Told.told(), decide)

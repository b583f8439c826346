"""The state job on Bytewax."""

from __future__ import annotations

from typing import Any

import orjson

from bench.contenders.on_bytewax import work
from bench.contenders.tally import Record, decode, take
from bench.told import Told


def decide(customer: Record | None, message: Any) -> tuple[Record, tuple[bytes, ...]]:
    """One click."""
    customer, offer = take(customer, decode(message.value), message.partition, message.offset)
    return customer, () if offer is None else (orjson.dumps(offer),)


if __name__ == "__main__":
    work(Told.told(), decide)

"""A recorded stream, and what it came to: ``python -m tests.decide.recording`` records it anew.

The decision before docs/adr/0131 was the oracle of the one after it, and is gone. It came to what
is recorded here, within the last bits of its floats; so the recording stands in for it. Record anew
only where a decision is *meant* to change, and look at what the test tells as different before you
do. What went in is kept, and decided again; it is drawn only where there is no recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from gzip import compress, decompress
from math import isclose
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import orjson

from stream.domain.event import Campaign, CatalogItem
from tests.decide.streams import (
    Batch,
    Partition,
    Shop,
    drawn_shop,
    drawn_stream,
    entry_of,
    kept_of,
    outcome_of,
)

FILE: Final = Path(__file__).with_name("recorded.json.gz")
SEEDS: Final = range(1, 9)
BATCHES: Final = 6
NEAR: Final = 1e-12  # exponentials and logarithms differ in the last bit between C libraries


def plain(value: Any) -> Any:
    """A value as it comes back from JSON."""
    return orjson.loads(msgspec.json.encode(value))


def read() -> Any:
    """The streams that were recorded."""
    return orjson.loads(decompress(FILE.read_bytes()))


def again(streams: Any) -> Any:
    """Recorded streams with what comes out of them now."""
    for stream in streams:
        *outcomes, stream["kept"] = [now for _, now in decided_again(stream)]
        inputs = [batch for batch, _ in stream["batches"]]
        stream["batches"] = list(zip(inputs, outcomes, strict=True))
    return streams


def drawn() -> Any:
    """Some streams: what went in, and what came out."""
    streams = []
    for seed in SEEDS:
        chance = Random(seed)
        shop = drawn_shop(chance)
        stream = list(drawn_stream(shop, chance, BATCHES))
        batches = [[each.batch, outcome_of(each.decided)] for each in stream]
        kept = kept_of(stream[-1].partition)
        streams.append({"shop": shop, "batches": batches, "kept": kept})
    return plain(streams)


def decided_again(stream: Any) -> Iterator[tuple[Any, Any]]:
    """What came out of a recorded stream, and what comes out of it now."""
    partition = Partition(_shop_of(stream["shop"]).world)
    for (entries, durable), outcome in stream["batches"]:
        batch = Batch([entry_of(entry) for entry in entries], tuple(durable))
        yield outcome, plain(outcome_of(partition.decide(batch)))
    yield stream["kept"], plain(kept_of(partition))


def _shop_of(told: Any) -> Shop:
    policy, core, catalog, campaigns, learning = told
    items = msgspec.convert(catalog, tuple[CatalogItem, ...])
    return Shop(policy, core, items, msgspec.convert(campaigns, tuple[Campaign, ...]), learning)


def differences(one: Any, other: Any, where: str = "") -> Iterator[str]:
    """Where two values are different; numbers that are near are alike."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from differences(one[name], other[name], f"{where}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for at, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{where}/{at}")
    elif type(one) is not type(other) or not _alike(one, other):
        yield f"{where}: {other!r}, and it was {one!r}"


def _alike(one: Any, other: Any) -> bool:
    return isclose(one, other, rel_tol=NEAR) if isinstance(one, float) else bool(one == other)


if __name__ == "__main__":
    FILE.write_bytes(compress(orjson.dumps(again(read()) if FILE.exists() else drawn()), mtime=0))
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes")

"""Bad input on request: each sort is refused for its own reason, and the good records remain."""

from __future__ import annotations

from collections import Counter
from functools import cache

import orjson

from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.schema import load_schemas
from stream.config import CoreSettings
from stream.domain.event import Rejection, Source
from stream.simulate import Shoppers, TimedRecord

START = 1_760_000_000_000
DAY_MS = 86_400_000
SOURCES = {"clicks": Source.CLICKS, "purchases": Source.PURCHASES, "customers": Source.CUSTOMERS}


@cache
def noisy() -> list[TimedRecord]:
    return Shoppers(3, 200, 200, START, noise=0.2).step(3 * 86_400)


def test_the_good_records_all_remain_in_order() -> None:
    good = iter(Shoppers(3, 200, 200, START).step(3 * 86_400))
    wanted = next(good)
    for record in noisy():
        if record == wanted:
            wanted = next(good, wanted)
    assert next(good, None) is None
    times = [record.time for record in noisy()]
    assert times == sorted(times)


def test_the_share_is_about_what_was_asked_for() -> None:
    good = len(Shoppers(3, 200, 200, START).step(3 * 86_400))
    assert 0.12 < len(noisy()) / good - 1 < 0.28


def test_every_sort_of_bad_input_is_there() -> None:
    decoder = EventDecoder(load_schemas(), CoreSettings())
    seen: Counter[str] = Counter()
    ids: set[str] = set()
    for record in noisy():
        if record.topic not in SOURCES:
            continue
        outcome = decoder.decode(SOURCES[record.topic], record.key, record.value, (), record.time)
        if isinstance(outcome, Rejection):
            seen[outcome.code] += 1
            continue
        assert isinstance(outcome, Decoded)
        event = outcome.event
        seen["again"] += event.event_id in ids
        seen["late"] += event.time < record.time - DAY_MS
        seen["bot"] += event.customer_id.startswith("bot-")
        ids.add(event.event_id)
    assert all(
        seen[reason] > 0
        for reason in ("decode", "schema", "key_mismatch", "future_time", "again", "late", "bot")
    ), seen


def test_a_bot_floods_one_customer_within_a_second() -> None:
    bots = Counter(record.key for record in noisy() if orjson_customer(record).startswith("bot-"))
    assert bots
    assert min(bots.values()) >= 100


def orjson_customer(record: TimedRecord) -> str:
    try:
        return str(orjson.loads(record.value).get("customer_id", ""))
    except orjson.JSONDecodeError:
        return ""

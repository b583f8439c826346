"""Input = applied + duplicate + dead-lettered + late + suppressed, whatever is sent."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.deadletters import Record, restore
from stream.core.event import Event
from stream.runtime.engine import Publication
from tests.builders import DAY, NOON, a_click, a_purchase, an_impression, an_update
from tests.topology.embedded import (
    Seen,
    arrived,
    judged,
    look,
    publication,
    running,
    settings_in,
    stored,
)

RECORDS = 2_000
VALID = 300  # at first: what is late is so by the stream time that others have brought about
Sent = tuple[str, Publication]


def changed(record: Publication, **changes: Any) -> Publication:
    """A record with some fields of its value changed."""
    kind, key, value, headers, time = record
    assert value is not None
    return kind, key, orjson.dumps(orjson.loads(value) | changes), headers, time


def with_value(record: Publication, value: bytes | None) -> Publication:
    """A record with another value."""
    kind, key, _, headers, time = record
    return kind, key, value, headers, time


MUTATIONS: dict[str, Callable[[Publication], Publication]] = {
    "rejected:decode": lambda r: with_value(r, (r[2] or b"")[:-9]),
    "rejected:schema": lambda r: changed(r, event_id=[1]),
    "rejected:value_range": lambda r: changed(r, timestamp=NOON // 1000),
    "rejected:schema_version": lambda r: changed(r, schema_version=3),
    "rejected:oversize": lambda r: changed(r, padding="x" * 262_144),
    "rejected:future_time": lambda r: changed(r, timestamp=NOON + 9 * DAY),
    "rejected:key_mismatch": lambda r: (r[0], b"nobody", *r[2:]),
    "rejected:tombstone": lambda r: with_value(r, None),
    "late": lambda r: changed(r, timestamp=NOON - 3 * DAY),
    "applied": lambda r: changed(r, nobody_knows=1),
}


def an_event(n: int, chance: random.Random) -> Event:
    """The ``n``-th valid event of some customer."""
    customer, item = f"c{chance.randrange(60)}", f"i{chance.randrange(40)}"
    drawn = chance.random()
    if drawn < 0.75:
        return a_click(n, customer, item)
    if drawn < 0.90:
        return a_purchase(n, customer, item, "i0")
    if drawn < 0.97:
        return an_impression(n, f"offer-{n}", customer)
    return an_update(n, customer, traits=(("vip", True),))


def damaged(record: Publication, chance: random.Random) -> Publication:
    """A record with some bytes of its value changed: who knows what becomes of it."""
    value = bytearray(record[2] or b"")
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(value))
        value[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return with_value(record, bytes(value))


def a_mix(chance: random.Random) -> list[Sent]:
    """Valid, mutated, repeated and damaged records, each with what must become of it."""
    sent: list[Sent] = []
    for n in range(RECORDS):
        record = publication(an_event(n, chance))
        drawn = chance.random()
        if n < VALID or drawn < 0.7:
            sent.append(("applied", record))
        elif drawn < 0.9:
            outcome = chance.choice(list(MUTATIONS))
            sent.append((outcome, MUTATIONS[outcome](record)))
        elif drawn < 0.95:
            outcome, earlier = chance.choice(sent[-20:])
            sent.append(("duplicate" if outcome == "applied" else outcome, earlier))
        else:
            sent.append(("?", damaged(record, chance)))
    return sent


@pytest.mark.parametrize("partitions", [1, 4])
async def test_every_record_is_accounted_for(tmp_path: Path, partitions: int, seed: int) -> None:
    chance = random.Random(seed)
    sent = a_mix(chance)
    settings = settings_in(tmp_path, partitions)
    at = VALID
    async with running(settings) as engine:
        await engine.publish([record for _, record in sent[:at]])
        await engine.settle()
        while at < len(sent):
            size = chance.randint(1, 400)
            await engine.publish([record for _, record in sent[at : at + size]])
            at += size
        seen = await look(engine)
        assert arrived(engine) == len(sent)
        assert_accounted(seen, sent)
        in_topics = [
            Record(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for kind in ("clicks", "purchases", "feedback", "customers")
            for r in stored(engine, kind)
        ]
    async with running(settings) as again:
        assert (await look(again)).counts == seen.counts  # a restart counts nothing again

    by_place = {(r.topic, r.partition, r.offset): r for r in in_topics}
    for told in map(restore, seen.letters):
        original = by_place.pop((told.record.topic, told.record.partition, told.record.offset))
        value = original.value if told.complete else (original.value or b"")[:4096]
        assert told.record == original._replace(value=value)
    late = Counter((r.key, r.value, r.timestamp) for r in seen.late)
    assert late <= Counter((r.key, r.value, r.timestamp) for r in by_place.values())


def assert_accounted(seen: Seen, sent: list[Sent]) -> None:
    """What is known of a record beforehand became of it; and of the others, something."""
    counts = seen.counts
    assert judged(counts) == len(sent)
    assert len(seen.letters) == counts["rejected"]
    assert len(seen.late) == counts["late"]
    refused = {name: n for name, n in counts.items() if name.startswith("rejected:")}
    assert sum(refused.values()) == counts["rejected"]
    due = Counter(outcome for outcome, _ in sent)
    unknown = due.pop("?")
    surplus = {name: counts[name] - due[name] for name in {*due, "suppressed"}}
    assert min(surplus.values()) >= 0, surplus
    assert 0 < sum(surplus.values()) <= unknown, surplus
    assert seen.metrics["events_applied_total"] == counts["applied"]

"""Valid, mutated, repeated and damaged records, each with what must become of it.

Ids are random numbers, so that no damage turns one event's id into another's.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from msgspec.structs import replace

from stream.domain.event import Event
from stream.worker.engine import Publication
from tests.builders import DAY, NOON, SECOND, a_click, a_purchase, an_impression, an_update
from tests.topology.embedded import OUTCOMES, judged, publication

VALID = 300  # at first: what is late is so by the stream time that others have brought about
Sent = tuple[str, Publication]
Mutation = Callable[[Publication, int], Publication]
JUNK: list[object] = [
    None, True, -1, 0, 0.5, 1e308, 2**53, 2**63, "", " ", "x" * 300, "\u202e", "NaN", [], {}, [[]],
    {"": 0}, [None] * 20, {"a": {"b": {"c": []}}},
]  # fmt: skip


def changed(record: Publication, **changes: Any) -> Publication:
    """A record with some fields of its value changed."""
    kind, key, value, headers, time = record
    assert value is not None
    return kind, key, orjson.dumps(orjson.loads(value) | changes), headers, time


def with_value(record: Publication, value: bytes | None) -> Publication:
    """A record with another value."""
    kind, key, _, headers, time = record
    return kind, key, value, headers, time


MUTATIONS: dict[str, Mutation] = {
    "rejected:decode": lambda r, _: with_value(r, (r[2] or b"")[:-9]),
    "rejected:schema": lambda r, _: changed(r, event_id=[1]),
    "rejected:value_range": lambda r, start: changed(r, timestamp=start // 1000),
    "rejected:schema_version": lambda r, _: changed(r, schema_version=3),
    "rejected:future_time": lambda r, start: changed(r, timestamp=start + 99 * DAY),
    "rejected:key_mismatch": lambda r, _: (r[0], b"nobody", *r[2:]),
    "rejected:tombstone": lambda r, _: with_value(r, None),
    "late": lambda r, start: changed(r, timestamp=start - 3 * DAY),
    "applied": lambda r, _: changed(r, nobody_knows=1),
}
LARGE = "rejected:oversize"


def an_event(n: int, chance: random.Random, start: int) -> Event:
    """The ``n``-th valid event of some customer."""
    customer, item = f"c{chance.randrange(60)}", f"i{chance.randrange(40)}"
    drawn = chance.random()
    event: Event
    if drawn < 0.75:
        event = a_click(n, customer, item)
    elif drawn < 0.90:
        event = a_purchase(n, customer, item, "i0")
    elif drawn < 0.97:
        event = an_impression(n, f"offer-{n}", customer)
    else:
        event = an_update(n, customer, traits=(("vip", True),))
    return replace(event, event_id=f"{chance.getrandbits(64):x}", time=start + n * SECOND)


def mutated(record: Publication, chance: random.Random, start: int) -> Sent:
    """A record of which one thing is not as it should be; what becomes of it is known."""
    if chance.random() < 0.005:  # they are large
        return LARGE, changed(record, padding="x" * 262_144)
    outcome = chance.choice(list(MUTATIONS))
    return outcome, MUTATIONS[outcome](record, start)


def damaged(record: Publication, chance: random.Random) -> Publication:
    """A record with some bytes, or one field, changed: who knows what becomes of it."""
    value = bytearray(record[2] or b"")
    if chance.random() < 0.5:
        fields: dict[str, Any] = orjson.loads(value)
        return changed(record, **{chance.choice([*fields]): chance.choice(JUNK)})
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(value))
        value[place : place + chance.randrange(3)] = chance.randbytes(chance.randrange(3))
    return with_value(record, bytes(value))


def a_mix(chance: random.Random, size: int, start: int = NOON, bad: float = 0.25) -> Iterator[Sent]:
    """So many records, each with its outcome, ``?`` where that is not known beforehand.

    A share of ``bad`` is mutated or damaged; one in twenty repeats one of the last.
    """
    lately: list[Sent] = []
    for n in range(size):
        record = publication(an_event(n, chance, start))
        drawn = chance.random()
        sent = "applied", record
        if n >= VALID and drawn < 0.8 * bad:
            sent = mutated(record, chance, start)
        elif n >= VALID and drawn < bad:
            sent = "?", damaged(record, chance)
        elif n >= VALID and drawn > 0.95:
            outcome, earlier = chance.choice(lately)
            sent = ("duplicate" if outcome == "applied" else outcome), earlier
        lately = [*lately[-19:], sent]
        yield sent


def assert_accounted(counts: Counter[str], due: Mapping[str, int]) -> None:
    """What is known of records beforehand became of them; and of the others, something.

    ``due`` holds how many records there are of each outcome, ``?`` included.
    """
    known = Counter(due)
    unknown = known.pop("?", 0)
    assert judged(counts) == sum(due.values())
    refused = {name: n for name, n in counts.items() if name.startswith("rejected:")}
    assert sum(refused.values()) == counts["rejected"]
    names = {*OUTCOMES, *refused, *known} - {"rejected"}
    surplus = {name: counts[name] - known[name] for name in names}
    assert min(surplus.values()) >= 0, surplus
    assert sum(surplus.values()) == unknown, surplus

"""Forged records behind a right checksum, and decisions that meet what is let through.

``python -m tests.decide.forging SEED COUNT`` prints how many were refused and how many met; a wrong
index in a compiled kernel may end the process, so it is one of its own.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from random import Random
from struct import pack_into, unpack_from
from typing import Final

import numpy as np

from stream.codec.customers import StoredRecordError, decode_record, encode_record
from stream.decide.consent import forget
from stream.decide.decide import decide
from stream.decide.rows.advance import look
from stream.decide.rows.layout import HEAD, SIZE
from stream.decide.rows.record import WIDTHS, Desk, View, front
from stream.decide.world import World
from stream.domain.event import Event, Feedback, Response, Source
from stream.domain.offer import Cause
from tests.builders import NOON, OPEN
from tests.decide.streams import Drawing, drawn_records, drawn_shop

ODD: Final = [-(2**63), -(2**62), -(2**31), -2, -1, 0, 1, 2, 255, 2**16, 2**31 - 1, 2**31, 2**40]
ODD_REALS: Final = [float("nan"), float("inf"), -float("inf"), 1e308, -1e308, -1.0, -0.5, 5e-324]
FIELDS: Final = HEAD.fields or {}
LISTS: Final = dict(WIDTHS)


def flipped(record: bytearray, chance: Random) -> None:
    """A few other bytes."""
    for _ in range(chance.randint(1, 3)):
        record[chance.randrange(len(record))] = chance.randrange(256)


def with_another_field(record: bytearray, chance: Random) -> None:
    """An odd number in a field of the head."""
    kind, at = FIELDS[chance.choice([*FIELDS])][:2]
    if kind.kind == "f":
        pack_into("<d", record, at, chance.choice(ODD_REALS))
    else:
        _put(record, at, kind.itemsize % 32, chance)


def with_another_number(record: bytearray, chance: Random) -> None:
    """An odd number somewhere."""
    _put(record, 4 * chance.randrange(len(record) // 4 - 1), chance.choice([4, 8]), chance)


def cut(record: bytearray, chance: Random) -> None:
    """Its end is missing."""
    del record[chance.randrange(1, len(record)) :]


def longer(record: bytearray, chance: Random) -> None:
    """More behind its end."""
    record += chance.randbytes(chance.randint(1, 60))


def grown(record: bytearray, chance: Random) -> None:
    """More entries in a list, which is counted: often too many."""
    name = chance.choice([*LISTS])
    more = chance.choice([1, 1, 2, 5, 50, 200, 2_000, 70_000])
    n, width = _count(record, name), LISTS[name]
    at = _start(record, name) + n * width
    entry = bytes(record[at - width : at]) if n and chance.random() < 0.7 else bytes(width)
    record[at:at] = entry * more
    pack_into("<i", record, FIELDS[f"n_{name}"][1], n + more)
    pack_into("<q", record, FIELDS["size"][1], front(bytes(record)).size + width * more)


def with_other_slates(record: bytearray, chance: Random) -> None:
    """Waiting offers whose numbers of items add up as before, and are others."""
    first = _start(record, "pending")
    if _count(record, "pending") > 1:
        counts = [unpack_from("<i", record, first + 16 * n + 4)[0] for n in range(2)]
        moved = chance.choice([1, counts[0], -counts[1], 2**20])
        pack_into("<i", record, first + 4, counts[0] - moved)
        pack_into("<i", record, first + 20, counts[1] + moved)


WAYS: Final[tuple[Callable[[bytearray, Random], None], ...]] = (
    flipped,
    with_another_field,
    with_another_number,
    cut,
    longer,
    grown,
    with_other_slates,
)


def _count(record: bytearray, name: str) -> int:
    return int(unpack_from("<i", record, FIELDS[f"n_{name}"][1])[0])


def _start(record: bytearray, name: str) -> int:
    names = [*LISTS]
    before = names[: names.index(name)]
    return SIZE + sum(_count(record, each) * LISTS[each] for each in before)


def _put(record: bytearray, at: int, size: int, chance: Random) -> None:
    number = chance.choice(ODD) + chance.choice([0, 0, 1, -1])
    data = (number % 2**64).to_bytes(8, "little")[: size or 8]
    record[at : at + len(data)] = data


def forged(record: bytes, chance: Random) -> bytes:
    """A record that was changed in one way, and now and then in a byte or a number more."""
    changed = bytearray(record)
    chance.choice(WAYS)(changed, chance)
    if len(changed) > SIZE and chance.random() < 0.3:
        chance.choice(WAYS[:3])(changed, chance)
    return bytes(changed)


def meet(record: bytes, events: list[Event], world: World, desk: Desk) -> None:
    """Have a customer of this record do what there is to do, be looked at, and be forgotten."""
    offers = [offer.offer_id for offer in View(record).value.waiting.offers]
    seen = [Feedback(f"s{n}", "c1", NOON, Response.IMPRESSION, o) for n, o in enumerate(offers)]
    rules = desk.rules(world.settings, learning=True)
    look(record, NOON, rules, desk.tables)
    assert View(desk.record()).value.stamps
    assert View(forget(record, desk)).value.stamps
    for offset, event in enumerate([*events, *seen], 1 << 40):
        cause = Cause(Source.CLICKS, 0, offset, NOON)
        record = decide(record, event, cause, world, desk).record or record
        assert View(record).value.stamps


def an_open_world(chance: Random) -> World:
    """A world in which all that asks for room is as large as can be."""
    world = drawn_shop(chance).world
    policy = replace(OPEN, offer_gap=0.0, offers_per_day=24, quiet_until=22, slate=50)
    most = {"recent_items": 100, "pending_exposures": 100, "seen_ids": 1_000, "seen_orders": 1_000}
    settings = replace(world.settings, policy=policy, **most)
    newest = tuple(f"n{n}" for n in range(60))
    return world._replace(settings=settings, newest=newest, campaigns=(), learning=True)


def main() -> None:
    """Forge records, and meet those that are let through."""
    seed, count = map(int, sys.argv[1:])
    chance, tally, desk = Random(seed), Counter[str](), Desk()
    records = list(drawn_records(seed, 30))
    drawing, world = Drawing(chance), an_open_world(chance)
    for _ in range(count):
        record = forged(chance.choice(records), chance)
        try:
            decode_record(encode_record(record))
        except StoredRecordError:
            tally["refused"] += 1
            continue
        events = [drawing.event(source) for source in (*Source, *Source)]
        try:
            with np.errstate(over="raise"):
                meet(record, events, world, desk)
        except Exception:
            print(f"let through, and not borne: {record.hex()}", file=sys.stderr)
            raise
        tally["met"] += 1
    print(dict(tally))


if __name__ == "__main__":
    main()

"""The shop's books are right: a reference that applies the rules one by one comes to the same.

It is asked in many orders: each topic's own order holds, the topics lag behind each other by up to
a wave, as nobody promises more while workers die.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from tests.auditor.shop import DAY, EXACT, Expected, May, Sent, Shop, Story, Sums, Way, bought

CLICKS = {"view": {"views": 1}, "add_to_cart": {"carts": 1}, "remove_from_cart": {"carts": -1}}
START = 1_760_000_000_000
WAVES = 30


def a_shop(seed: int, customers: int = 250, events: int = 9_000) -> Shop:
    return Shop(seed, customers, events, WAVES, START, events * 40)


@dataclass
class Known:
    """What the reference keeps of a customer."""

    erased: int = 0
    said: dict[str, tuple[int, bool]] = field(default_factory=dict)
    sums: Sums = field(default_factory=Sums)
    seen: set[str] = field(default_factory=set)

    def allows(self, purpose: str) -> bool:
        return self.said.get(purpose, (0, False))[1]


class Reference:
    """An offerstream of a few lines, without limits, partitions or crashes."""

    def __init__(self) -> None:
        self.known: defaultdict[str, Known] = defaultdict(Known)
        self.now = 0

    def take(self, sent: Sent) -> tuple[str, bool]:
        """What becomes of a record, and whether it may cause an offer."""
        try:
            event = orjson.loads(sent.value or b"")
            known, time = self.known[event["customer_id"]], event["timestamp"]
        except (ValueError, TypeError, KeyError):
            return "rejected", False
        self._heed(known, event)
        if time < self.now - DAY:
            return "late", False
        self.now = max(self.now, time)
        ids = {event["event_id"], event.get("order_id", "") + event.get("event", "")}
        ids -= {event.get("event")}
        if ids & known.seen:
            return "duplicate", False
        if not known.allows("profiling") or time <= known.erased:
            return "applied", False
        known.seen |= ids
        known.sums = known.sums.plus(**gained(event))
        shown = event.get("event") not in ("remove_from_cart", "click", None)
        return "applied", shown and known.allows("offers")

    def _heed(self, known: Known, event: dict[str, Any]) -> None:
        time = event["timestamp"]
        if event.get("erase") and time > known.erased:
            known.erased, known.sums, known.seen = time, Sums(), set()
            known.said = {name: said for name, said in known.said.items() if said[0] > time}
        for purpose, yes in (event.get("consent") or {}).items():
            before, was = known.said.get(purpose, (0, True))
            if time > known.erased and (time > before or (time == before and was and not yes)):
                known.said[purpose] = time, yes
        if not known.allows("profiling"):
            known.sums, known.seen = Sums(), set()


def gained(event: dict[str, Any]) -> dict[str, int]:
    """What an event adds to the sums."""
    kind = event.get("event")
    if kind in ("purchase", "refund"):
        units, cents = bought(event["products"])
        sign = 1 if kind == "purchase" else -1
        name = "orders" if sign > 0 else "refunds"
        return {name: 1, "units": sign * units, "cents": sign * cents}
    return CLICKS.get(kind or "", {})


def in_order(shop: Shop, _: random.Random) -> Iterator[Sent]:
    """All records as they are sent."""
    yield from shop.preamble()
    for number in range(shop.waves):
        yield from shop.wave(number)


def interleaved(shop: Shop, chance: random.Random) -> Iterator[Sent]:
    """All records: each topic in its order, and none behind by more than the wave before."""
    yield from shop.preamble()
    logs: defaultdict[str, deque[tuple[int, Sent]]] = defaultdict(deque)
    for number in range(shop.waves):
        for sent in shop.wave(number):
            logs[sent.topic].append((number, sent))
        for log in logs.values():
            while log and log[0][0] < number:
                yield log.popleft()[1]
            for _ in range(chance.randint(0, len(log))):
                yield log.popleft()[1]
    for log in logs.values():
        yield from (sent for _, sent in log)


@pytest.mark.parametrize("turn", range(6))
@pytest.mark.parametrize("arriving", [in_order, interleaved])
def test_sums_outcomes_and_lawful_causes_are_the_references_in_any_order(
    arriving: Callable[[Shop, random.Random], Iterator[Sent]], seed: int, turn: int
) -> None:
    shop, reference = a_shop(seed + turn), Reference()
    outcomes: Counter[tuple[Expected, str]] = Counter()
    lawful = {May.YES} if arriving is in_order else {May.YES, May.OUT_OF_TURN}
    for sent in arriving(shop, random.Random(seed + turn)):
        outcome, offered = reference.take(sent)
        outcomes[sent.expected, outcome] += 1
        assert sent.may in lawful or not offered, (shop.customers[sent.customer], sent)
    for one in shop.customers:
        assert reference.known[one.name].sums == one.sums, one
    del outcomes[Expected.ANY, "applied"]
    for (expected, outcome), count in outcomes.items():
        assert expected == outcome or (expected is Expected.ANY and outcome != "rejected"), count


def test_every_story_is_told_in_every_way_and_to_its_end(seed: int) -> None:
    shop = a_shop(seed, 1_000, 30_000)
    sent = Counter(one.expected for n in range(WAVES) for one in shop.wave(n))
    assert sent.keys() == set(Expected)
    acted = {(one.story, one.way) for one in shop.customers if one.acted >= 0}
    assert {story for story, _ in acted} == set(Story) - EXACT - {Story.UNASKED, Story.UNPROFILED}
    for story in (Story.WITHDRAWN, Story.AGREED_AGAIN):
        assert {way for told, way in acted if told is story} == set(Way)
    for story in (Story.AGREED_AGAIN, Story.RETURNED):
        back = [c for c in shop.customers if c.story is story and c.agreed >= 0 and c.sums.orders]
        assert len(back) > 5, story
    assert all(c.sums.views for c in shop.customers if c.story is Story.STEADY)


def test_the_same_seed_gives_the_same_records(seed: int) -> None:
    one, two = a_shop(seed), a_shop(seed)
    assert [*one.preamble()] == [*two.preamble()]
    for number in range(WAVES):
        assert [*one.wave(number)] == [*two.wave(number)]

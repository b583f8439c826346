"""What customers of the audited shop do, and what must come of it by the rules alone.

Nothing here knows how offerstream works. The rules are those of docs/events.md:

- An event counts once. Its id tells it again, and an order's id tells an order again.
- Only who allows profiling is profiled, and only who allows offers as well is made offers; who has
  said nothing has allowed nothing. The newest statement by event time holds; of two at the same
  time, the no.
- A withdrawal, or an erasure, holds whenever and however it arrives: late, twice, after a flood.
- An open offer is recalled by a withdrawal, by an erasure, and by a purchase of what it holds.
- After an erasure at T nothing that happened at T or before counts; what comes after it is a new
  customer's, who has allowed nothing yet.

Each customer lives a story. Across topics nobody promises an order while workers die; so a
story goes on after a withdrawal only once that is surely decided, two waves later.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from itertools import islice
from typing import Any, Final, NamedTuple, TypeVar

import orjson

T = TypeVar("T")
DAY: Final = 86_400_000  # ms
SETTLED: Final = 2  # waves after which what was sent is known to be decided
FLOOD: Final = 120  # events of one moment: more than a person makes
GARBAGE: Final = (
    b'{"event_id": "cut',
    b"[]",
    b'{"event_id": "g", "event": "view", "product_id": "ghost-1"}',
    b"\xff\xfe\x00",
    None,
)


class Expected(StrEnum):
    """What must become of a record; ``ANY``: something, and the rules leave open what."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    LATE = "late"
    REJECTED = "rejected"
    ANY = "any"


class May(IntEnum):
    """Whether a record may cause an offer."""

    NO = 0
    YES = 1
    OUT_OF_TURN = 2  # only who takes topics out of the order of time would answer it


class Story(StrEnum):
    """What a customer allows, in the course of time."""

    STEADY = "steady"  # everything, always
    UNASKED = "unasked"  # says nothing
    UNPROFILED = "unprofiled"  # offers, but no profile: so neither
    UNOFFERED = "unoffered"  # a profile, but no offers
    QUIETED = "quieted"  # takes the permission for offers back
    WITHDRAWN = "withdrawn"  # takes all permission back
    AGREED_AGAIN = "agreed_again"  # … and gives it again
    ERASED = "erased"  # is forgotten
    RETURNED = "returned"  # … and comes back as somebody new


class Way(StrEnum):
    """How a withdrawal or an erasure arrives."""

    ON_TIME = "on_time"
    LATE = "late"  # it happened two days before
    IN_A_CLICK = "in_a_click"
    FLOODED = "flooded"  # a millisecond after more clicks than a person makes
    THRICE = "thrice"
    TIED = "tied"  # between two statements of the opposite, at the same time


SHARES: Final = {
    Story.STEADY: 56,
    Story.UNASKED: 6,
    Story.UNPROFILED: 3,
    Story.UNOFFERED: 5,
    Story.QUIETED: 6,
    Story.WITHDRAWN: 8,
    Story.AGREED_AGAIN: 4,
    Story.ERASED: 8,
    Story.RETURNED: 4,
}
AT_FIRST: Final = {
    Story.UNASKED: None,
    Story.UNPROFILED: {"profiling": False, "offers": True},
    Story.UNOFFERED: {"profiling": True, "offers": False},
}
ALL: Final = {"profiling": True, "offers": True}
NONE: Final = {"profiling": False, "offers": False}
NEVER_OFFERED: Final = {Story.UNASKED, Story.UNPROFILED, Story.UNOFFERED}
ALWAYS_PROFILED: Final = {Story.STEADY, Story.UNOFFERED, Story.QUIETED}
ERASES: Final = {Story.ERASED, Story.RETURNED}
UNFIT: Final = {
    Story.ERASED: Way.IN_A_CLICK,  # a click can't erase
    Story.RETURNED: Way.IN_A_CLICK,
    Story.QUIETED: Way.FLOODED,  # what a flood leaves of sums is open
}
EXACT: Final = {Story.STEADY, Story.UNOFFERED}  # what becomes of each record is known


class Sent(NamedTuple):
    """A record to send, what must become of it, and whether it may cause an offer."""

    topic: str
    customer: int
    value: bytes | None
    expected: Expected
    may: May


class Sums(NamedTuple):
    """What a customer did, money in minor units."""

    views: int = 0
    carts: int = 0
    orders: int = 0
    refunds: int = 0
    units: int = 0
    cents: int = 0

    def plus(self, **more: int) -> Sums:
        """These and more."""
        return Sums(*(n + more.get(name, 0) for name, n in zip(self._fields, self, strict=True)))


@dataclass(slots=True)
class Customer:
    """A customer's story, how far it has come, and what must be kept of it."""

    number: int
    name: str
    story: Story
    way: Way
    turn: int  # the wave in which permission is taken back
    acted: int = -1  # the wave in which it was
    act_topic: str = ""
    act_time: int = 0
    agreed: int = -1  # the wave in which it was given again
    sums: Sums = field(default_factory=Sums)
    did: bool = False  # whether anything counts, though its sums may be 0 (into the cart, and out)
    orders: list[dict[str, Any]] = field(default_factory=list)  # that may be repeated or refunded
    former: list[Sent] = field(default_factory=list)  # of before an erasure

    def add(self, **more: int) -> None:
        """Note something that counts."""
        self.sums, self.did = self.sums.plus(**more), True

    def counts(self, wave: int) -> bool:
        """Whether what the customer does now counts."""
        if self.story in ALWAYS_PROFILED or (self.acted < 0 and self.story not in AT_FIRST):
            return True
        return 0 <= self.agreed <= wave - SETTLED

    def may(self, wave: int, topic: str, time: int) -> May:
        """Whether an event of this time, sent now, may cause an offer."""
        if self.story in NEVER_OFFERED:
            return May.NO
        if self.acted < 0:
            return May.YES
        if 0 <= self.agreed <= wave - SETTLED:
            return May.YES if time > self.act_time else May.NO
        if topic == self.act_topic or wave >= self.acted + SETTLED:
            return May.NO  # behind it in the same log, or it is decided by now
        if wave > self.acted and self.way is not Way.LATE and time > self.act_time:
            return May.OUT_OF_TURN  # it was there before, on another topic
        return May.YES


def dealt(cards: Sequence[T], chance: random.Random) -> Iterator[T]:
    """All of them in random order, again and again: none is left out by chance."""
    while True:
        yield from chance.sample(cards, len(cards))


class Shop:
    """A shop's events in waves, the same for the same seed.

    Parameters
    ----------
    seed
        Of all that is drawn.
    customers
        How many there are.
    events
        How many are sent in all, about: a flood, or a record sent thrice, comes on top.
    waves
        Into how many waves they are cut.
    start
        When the first happens, ms since the epoch.
    span
        How long all take, in ms, below the grace for late events.
    """

    def __init__(
        self, seed: int, customers: int, events: int, waves: int, start: int, span: int
    ) -> None:
        self.items = [f"p{n}" for n in range(min(500, max(30, customers // 4)))]
        self.waves, self.start = waves, start
        self._chance = chance = random.Random(seed)
        self._size, self._tick = -(-events // waves), max(1, span // events)
        self._name = f"{seed:x}"
        self._ids, self._now = 0, start
        self.ends: list[int] = []  # of waves, in event time
        self.bought: dict[tuple[int, str], int] = {}  # who bought what, and in which wave last
        stories = dealt([story for story, share in SHARES.items() for _ in range(share)], chance)
        ways = {
            story: dealt([way for way in Way if way is not UNFIT.get(story)], chance)
            for story in Story
        }
        self.customers = [
            self._customer(n, story, next(ways[story]))
            for n, story in enumerate(islice(stories, customers))
        ]

    def _customer(self, number: int, story: Story, way: Way) -> Customer:
        turn = self._chance.randrange(1, max(2, self.waves - 3 * SETTLED))
        return Customer(number, f"{self._name}-{number}", story, way, turn)

    # ------------------------------------------------------------------------------------ waves

    def preamble(self) -> Iterator[Sent]:
        """What is said three days before everything else; to be decided before it."""
        for one in self.customers:
            said = AT_FIRST.get(one.story, ALL)
            if said is not None:
                yield self._update(one, self.start - 3 * DAY, consent=said)

    def wave(self, number: int) -> Iterator[Sent]:
        """The events of a wave, in the order of their sending."""
        for _ in range(self._size):
            self._now += self._tick
            yield from self._turn(self._chance.choice(self.customers), number)
        self.ends.append(self._now)

    def settled(self, wave: int) -> int:
        """An event time that had not passed when what was sent in a wave was decided."""
        return self.ends[min(wave + SETTLED, len(self.ends)) - 1]

    def _turn(self, one: Customer, wave: int) -> list[Sent]:
        acts = one.story not in NEVER_OFFERED and one.story is not Story.STEADY
        if acts and one.acted < 0 and wave >= one.turn:
            return self._act(one, wave)
        if one.acted < 0 or one.story is Story.QUIETED or one.counts(wave):
            return self._ordinary(one, wave)
        again = one.story in (Story.AGREED_AGAIN, Story.RETURNED)
        if again and one.agreed < 0 and wave >= one.acted + SETTLED:
            one.agreed = wave
            return [self._update(one, self._now, consent=ALL)]
        if again:
            return self._older_yes(one) + self._former(one, wave)
        return self._afterwards(one, wave)

    # ------------------------------------------------------------------- permission, taken back

    def _act(self, one: Customer, wave: int) -> list[Sent]:
        """What takes permission back, in the customer's way."""
        records: list[Sent] = []
        if one.way is Way.FLOODED:
            records = [self._click(one, wave, self._now, Expected.ANY) for _ in range(FLOOD)]
            self._now += 1
        time = self.start - 2 * DAY if one.way is Way.LATE else self._now
        if one.story in ERASES:
            act = self._update(one, time, erase=True)
        else:
            said = {"offers": False} if one.story is Story.QUIETED else NONE
            if one.way is Way.IN_A_CLICK:
                counts = one.story is Story.QUIETED
                act = self._click(one, wave, time, Expected.ANY, consent=said, counts=counts)
                act = act._replace(may=May.NO)
            else:
                act = self._update(one, time, consent=said)
        if one.way is Way.TIED:
            records += [self._update(one, time, consent=ALL), act]
            records.append(self._update(one, time, consent=ALL))
        else:
            records += [act] * (3 if one.way is Way.THRICE else 1)
        one.acted, one.act_topic, one.act_time = wave, act.topic, time
        if one.story is not Story.QUIETED:
            one.sums, one.did, one.orders = Sums(), False, []
        return records

    def _afterwards(self, one: Customer, wave: int) -> list[Sent]:
        """What comes of who has taken permission back, and changes nothing."""
        drawn = self._chance.random()
        if drawn < 0.2:
            return self._older_yes(one)
        if one.story in ERASES and drawn < 0.6:
            return self._former(one, wave)
        if drawn < 0.7:
            return [self._order(one, wave, self._now)]
        return [self._click(one, wave, self._now, Expected.ANY)]

    def _older_yes(self, one: Customer) -> list[Sent]:
        time = one.act_time - self._chance.randrange(1, 60_000)
        return [self._update(one, time, consent=ALL)]

    def _former(self, one: Customer, wave: int) -> list[Sent]:
        """Something that happened before the erasure, or was sent before it."""
        if one.story not in ERASES:
            return []
        if one.former and self._chance.random() < 0.5:
            return [self._chance.choice(one.former)._replace(may=May.NO)]
        time = one.act_time - self._chance.randrange(0, 60_000)
        return [self._click(one, wave, time, Expected.ANY, consent=ALL)]

    # ----------------------------------------------------------------------------- ordinary days

    def _ordinary(self, one: Customer, wave: int) -> list[Sent]:
        """An event of who may be profiled, or of who never allowed it; now and then a mishap."""
        drawn = self._chance.random()
        if drawn < 0.01:
            value = self._chance.choice(GARBAGE)
            topic = self._chance.choice(("clicks", "purchases", "feedback", "customers"))
            return [Sent(topic, one.number, value, Expected.REJECTED, May.NO)]
        if drawn < 0.015 and one.story in EXACT and wave > 0:
            return [self._late(one)]
        if one.story is Story.RETURNED and one.acted >= 0 and drawn < 0.1:
            return self._former(one, wave)
        if one.story is Story.QUIETED and one.acted >= 0 and drawn < 0.05:
            return self._older_yes(one)
        counts = one.counts(wave)
        expected = Expected.APPLIED if one.story in EXACT else Expected.ANY
        drawn = self._chance.random()
        if counts and one.orders and drawn < 0.06:
            told = self._again if drawn < 0.03 else self._refund
            return [told(one, wave, expected)]
        if drawn < 0.2:
            return self._kept(one, [self._order(one, wave, self._now, expected, counts)])
        if drawn < 0.24:
            body = {"event": "click", "offer_id": f"of{self._ids}"}
            return [self._record("feedback", one, self._now, expected, May.NO, body)]
        sent = self._click(one, wave, self._now, expected, counts=counts)
        if drawn > 0.97:
            twice = Expected.DUPLICATE if expected is Expected.APPLIED else Expected.ANY
            return [sent, sent._replace(expected=twice, may=May.NO)]
        return self._kept(one, [sent])

    def _kept(self, one: Customer, sent: list[Sent]) -> list[Sent]:
        if one.story in ERASES and one.acted < 0 and one.way is not Way.LATE:
            one.former = [*one.former[-4:], *sent]
        return sent

    def _late(self, one: Customer) -> Sent:
        body = {"event": "view", "product_id": "ghost-late"}
        time = self._now - 2 * DAY
        return self._record("clicks", one, time, Expected.LATE, May.NO, body)

    def _click(
        self,
        one: Customer,
        wave: int,
        time: int,
        expected: Expected,
        *,
        counts: bool = False,
        consent: dict[str, bool] | None = None,
    ) -> Sent:
        drawn = self._chance.random()
        event = "view" if drawn < 0.8 else "add_to_cart" if drawn < 0.95 else "remove_from_cart"
        body: dict[str, Any] = {"event": event, "product_id": self._item(one)}
        if consent is not None:
            body["consent"] = consent
        if counts:
            carts = {"view": 0, "add_to_cart": 1, "remove_from_cart": -1}[event]
            one.add(views=int(not carts), carts=carts)
        may = May.NO if event == "remove_from_cart" else one.may(wave, "clicks", time)
        return self._record("clicks", one, time, expected, may, body)

    def _order(
        self,
        one: Customer,
        wave: int,
        time: int,
        expected: Expected = Expected.ANY,
        counts: bool = False,
    ) -> Sent:
        lines = [
            {"product_id": self._item(one), "price_minor": 95 + 5 * n, "quantity": n}
            for n in range(1, self._chance.randint(2, 4))
        ]
        order = {"order_id": f"{self._name}-o{self._ids}", "currency": "EUR", "products": lines}
        for line in lines:
            self.bought[one.number, line["product_id"]] = wave
        if counts:
            units, cents = bought(lines)
            one.add(orders=1, units=units, cents=cents)
            one.orders = [*one.orders[-9:], order]
        body = {"event": "purchase", **order}
        may = one.may(wave, "purchases", time)
        return self._record("purchases", one, time, expected, may, body)

    def _again(self, one: Customer, wave: int, expected: Expected) -> Sent:
        """An order that was told before, as another event."""
        twice = Expected.DUPLICATE if expected is Expected.APPLIED else Expected.ANY
        body = {"event": "purchase", **self._chance.choice(one.orders)}
        return self._record("purchases", one, self._now, twice, May.NO, body)

    def _refund(self, one: Customer, wave: int, expected: Expected) -> Sent:
        order = one.orders.pop(self._chance.randrange(len(one.orders)))
        units, cents = bought(order["products"])
        one.add(refunds=1, units=-units, cents=-cents)
        may = one.may(wave, "purchases", self._now)
        body = {"event": "refund", **order}
        return self._record("purchases", one, self._now, expected, may, body)

    # ------------------------------------------------------------------------------------ bytes

    def _item(self, one: Customer) -> str:
        """A product; of who never allowed a profile, one that nobody else knows."""
        item = self._chance.choice(self.items)
        secret = one.story in (Story.UNASKED, Story.UNPROFILED)
        return f"secret-{item}" if secret else item

    def _update(self, one: Customer, time: int, **said: Any) -> Sent:
        return self._record("customers", one, time, Expected.ANY, May.NO, said)

    def _record(
        self,
        topic: str,
        one: Customer,
        time: int,
        expected: Expected,
        may: May,
        body: dict[str, Any],
    ) -> Sent:
        self._ids += 1
        head = {"event_id": f"{self._name}-e{self._ids}", "customer_id": one.name}
        value = orjson.dumps({**head, "timestamp": time, **body})
        return Sent(topic, one.number, value, expected, may)


def bought(lines: list[dict[str, Any]]) -> tuple[int, int]:
    """Units and minor units of money of an order's lines."""
    units = sum(line["quantity"] for line in lines)
    return units, sum(line["quantity"] * line["price_minor"] for line in lines)

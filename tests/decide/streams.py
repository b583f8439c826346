"""Random streams for the decision: batches of all kinds of records, and shops to decide them in.

The same seed draws the same stream. A shop's models stand in for learned ones: they answer by
hashes, and in exact numbers, so that what is decided here changes with the decision alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from hashlib import blake2b
from random import Random
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import orjson

from stream.codec.decisions import encode_said
from stream.codec.examples import decode_examples
from stream.config import CoreSettings, PolicySettings
from stream.decide.batch import decide_batch
from stream.decide.ledger import EXAMPLES, Decided, Entry, Ledger
from stream.decide.rows.due import Page
from stream.decide.rows.record import Desk, View
from stream.decide.world import Models, Neighbours, Unlearned, World
from stream.domain.campaign import Incentive, Reward, Variant
from stream.domain.chance import identity
from stream.domain.event import (
    Action,
    Campaign,
    CatalogItem,
    Click,
    Consent,
    CustomerUpdate,
    Event,
    Feedback,
    Line,
    Purchase,
    Rejection,
    RejectionCode,
    Response,
    Source,
    Trade,
    Word,
)
from stream.models.recommend.recommender import Ranked
from tests.builders import DAY, NOON

ITEMS: Final = [f"ü{n}" for n in range(40)]  # of which the catalog describes some
CATEGORIES: Final = ["cä", *(f"k{n}" for n in range(1, 10)), "kategorie-" + "lang-" * 8, None]
EVENTS: Final[tuple[type[Event], ...]] = (Click, Purchase, Feedback, CustomerUpdate)  # by source


class Guess(Unlearned):
    """Stands in for all models that were learned."""

    def predict(self, rows: Any, /) -> Iterable[float]:
        """Thousandths, by the sum of a row's hashes."""
        return [int(np.sum(row, dtype=np.int64)) % 1000 / 1000 for row in rows]

    def assign(self, x: Sequence[float], /) -> int:
        """By the items viewed."""
        return int(x[3]) % 3

    def neighbours(self, item: str, k: int, /) -> Neighbours:
        """One, or none."""
        other = identity(item, "together") % 80
        return [(ITEMS[other], 0.5)] if other < len(ITEMS) else []

    def recommend(
        self,
        items: Sequence[str],
        k: int,
        exclude: Collection[str],
        session: int,
        segment: int | None,
        newest: Iterable[str],
    ) -> Sequence[Ranked]:
        """Two that follow the last item, one that all want, and what is new."""
        last = items[-1] if items else ""
        found = [
            Ranked(ITEMS[identity(last, n) % len(ITEMS)], 0.5 / n, source, source)
            for n, source in enumerate(("similar", "together", "trending"), 1)
        ]
        found += [Ranked(item, 0.0, "new", "new") for item in newest]
        each = {one.item: one for one in reversed(found) if one.item not in exclude}
        return list(each.values())[::-1][:k]


class Shop(NamedTuple):
    """What a stream is decided with: settings by name, and reference data."""

    policy: dict[str, Any]
    core: dict[str, Any]
    catalog: tuple[CatalogItem, ...]
    campaigns: tuple[Campaign, ...]
    learning: bool

    @property
    def world(self) -> World:
        """The world as a decision sees it."""
        guess = Guess()
        return World(
            settings=CoreSettings(policy=PolicySettings(**self.policy), **self.core),
            catalog={item.item_id: item for item in self.catalog},
            campaigns=self.campaigns,
            models=Models(guess, guess, guess, guess, guess, ("new", "old"), (("guess", 1),), 9),
            newest=("ü1", "ü2"),
            learning=self.learning,
        )


class Batch(NamedTuple):
    """Records to decide, and up to which offset of each source effects are durable."""

    entries: list[Entry]
    durable: tuple[int, ...]


class Partition:
    """What is kept of a partition while its batches are decided, one after the other."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger()
        self.records: dict[str, bytes | None] = {}
        self.pages: dict[int, Page] = {}
        self._desk = Desk()

    def decide(self, batch: Batch) -> Decided:
        """Decide a batch, and keep what it comes to."""
        decided = decide_batch(
            batch.entries,
            0,
            self.ledger,
            batch.durable,
            self.records.get,
            self.pages.get,
            self.world,
            encode_said,
            self._desk,
        )
        self.ledger = decided.ledger
        self.records |= decided.changed
        self.pages |= decided.pages
        return decided


# ----------------------------------------------------------------------------------------- drawing


VARIANTS: Final = Variant("plain"), Variant("off", reward=Reward(Incentive.PERCENT, 10))


def drawn_shop(chance: Random) -> Shop:
    """A shop whose settings are at their bounds now and then."""
    policy = {
        "consent_default": chance.random() < 0.7,
        "holdout": 0.1,
        "quiet_from": 0,
        "quiet_until": chance.choice([0, 0, 3]),
        "offer_gap": chance.choice([0.0, 5.0, 60.0]),
        "offers_per_day": chance.choice([3, 24]),
        "slate": chance.choice([1, 4, 7]),
        "exploration": 0.3,
        "events_burst": chance.choice([5, 100]),
        "events_per_second": chance.choice([0.1, 5.0]),
    }
    core = {
        "recent_items": chance.choice([2, 5, 20]),
        "pending_exposures": chance.choice([1, 8]),
        "seen_ids": chance.choice([1, 3, 64]),
        "seen_orders": chance.choice([1, 2, 128]),
        "attribution": chance.choice([60.0, 86_400.0]),
        "grace": chance.choice([60.0, 86_400.0]),
        "half_life": chance.choice([3_600.0, 30 * 86_400.0]),
    }
    win = Campaign("win", "Win", priority=2, discount=10, categories=("k1", "cä"), daily_cap=2)
    rest = Campaign("all", "All", daily_cap=chance.choice([None, 5]))
    campaigns = () if chance.random() < 0.5 else (win, rest)
    catalog = tuple(_drawn_item(item, chance) for item in ITEMS[:30])
    learning = chance.random() < 0.9
    if chance.random() < 0.5:
        campaigns = tuple(one._replace(variants=VARIANTS) for one in campaigns)
    return Shop(policy, core, catalog, campaigns, learning)


def _drawn_item(item_id: str, chance: Random) -> CatalogItem:
    return CatalogItem(
        item_id,
        category=chance.choice([None, "cä", "k1", "k2"]),
        brand=chance.choice([None, "b1"]),
        price=chance.choice([None, 100, 2_500]),
        currency=chance.choice([None, "EUR", "USD"]),
        margin=chance.choice([None, 50]),
        stock=chance.choice([None, None, 0, 5]),
    )


class Drawing:
    """Draws the batches of one stream."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._time = NOON
        self._ids: list[str] = []
        self._offsets = [0] * len(Source)
        self.offers: list[str] = []  # those that were made, which feedback may name

    def batch(self, ledger: Ledger) -> Batch:
        """A batch of up to thirty records."""
        chance = self._chance
        entries = [self._entry() for _ in range(chance.randint(1, 30))]
        return Batch(entries, tuple(stamp - chance.randint(0, 20) for stamp in ledger.stamps))

    def _entry(self) -> Entry:
        chance = self._chance
        self._time += chance.choice([0, 10, 1_000, 60_000, 2_000_000])
        source = Source(chance.choices(range(4), (70, 12, 12, 6))[0])
        event, offset = self.event(source), self._offsets[source]
        self._offsets[source] += 1
        if offset > 3 and chance.random() < 0.03:
            offset -= 2  # it is fetched again
        if chance.random() < 0.97:
            return Entry(source, offset, event)
        word = Word(event.customer_id, chance.choice([0, event.time]), consent=self._consent())
        refused = Rejection(RejectionCode.SCHEMA, "/event_id is missing")
        return Entry(source, offset, chance.choice([None, refused]), word)

    def event(self, source: Source) -> Event:
        """The next event of a source."""
        chance = self._chance
        event_id = f"e{len(self._ids)}"
        if self._ids and chance.random() < 0.05:
            event_id = chance.choice(self._ids)
        self._ids.append(event_id)
        told = event_id, f"c{chance.randint(0, 6)}", self._time - self._lag()
        consent = self._consent() if chance.random() < 0.15 else None
        if source is Source.CLICKS:
            return self._click(*told, consent)
        if source is Source.PURCHASES:
            return self._purchase(*told, consent)
        if source is Source.FEEDBACK:
            response = chance.choice([*Response, Response.IMPRESSION])
            offer = chance.choice(self.offers[-30:] or ["none"])
            return Feedback(*told, response, offer, consent=consent)
        return CustomerUpdate(*told, erase=chance.random() < 0.2, consent=consent)

    def _click(self, event_id: str, customer: str, time: int, consent: Consent | None) -> Click:
        chance = self._chance
        return Click(
            event_id,
            customer,
            time,
            chance.choice([*Action, Action.VIEW, Action.VIEW]),
            chance.choice(ITEMS),
            chance.choice([None, 0, 100, 99_999]),
            "EUR",
            chance.choice(CATEGORIES),
            chance.choice([None, "b1", "b2"]),
            session_id=chance.choice([None, None, "s1", "s2"]),
            consent=consent,
        )

    def _purchase(
        self, event_id: str, customer: str, time: int, consent: Consent | None
    ) -> Purchase:
        chance = self._chance
        trade = chance.choice([Trade.PURCHASE, Trade.PURCHASE, Trade.REFUND])
        currency = chance.choice(["EUR", "USD", "AED"])
        lines = tuple(self._line() for _ in range(chance.choice([0, 1, 1, 2, 5, 20])))
        order = f"o{chance.randint(0, 50)}"
        return Purchase(event_id, customer, time, trade, order, currency, lines, consent=consent)

    def _line(self) -> Line:
        chance = self._chance
        price, quantity = chance.choice([None, 100, 77]), chance.randint(1, 3)
        return Line(chance.choice(ITEMS), price, quantity, chance.choice(CATEGORIES))

    def _lag(self) -> int:
        return self._chance.choice([0, 0, 0, 0, 500, 100_000, 2 * DAY])

    def _consent(self) -> Consent:
        words = [None, True, True, False]
        return Consent(self._chance.choice(words), self._chance.choice(words))


class Drawn(NamedTuple):
    """A batch that was drawn and decided, and the partition after it."""

    batch: Batch
    decided: Decided
    partition: Partition


def drawn_stream(shop: Shop, chance: Random, batches: int) -> Iterator[Drawn]:
    """Batches that are drawn and decided in turns, since feedback names offers that were made."""
    partition, drawing = Partition(shop.world), Drawing(chance)
    for _ in range(batches):
        batch = drawing.batch(partition.ledger)
        decided = partition.decide(batch)
        drawing.offers += [offer.offer_id for offer in decided.offers]
        yield Drawn(batch, decided, partition)


def drawn_records(seed: int, batches: int) -> Iterator[bytes]:
    """Every record that decisions made of a stream, with its effects."""
    chance = Random(seed)
    for drawn in drawn_stream(drawn_shop(chance), chance, batches):
        yield from [record for record in drawn.decided.changed.values() if record is not None]


# ----------------------------------------------------------------------------------------- telling


def entry_of(told: Sequence[Any]) -> Entry:
    """An entry of what JSON keeps of it."""
    source, offset, content, word = told
    if content is not None:
        kind = Rejection if len(content) == len(Rejection._fields) else EVENTS[source]
        content = msgspec.convert(content, kind)
    return Entry(Source(source), offset, content, word and msgspec.convert(word, Word))


def outcome_of(decided: Decided) -> dict[str, Any]:
    """What a batch comes to, in plain values: all but records."""
    return {
        "effects": [
            [customer, e.source, e.offset, _payload(e.kind, e.payload)]
            for customer, e in decided.effects
        ],
        "tally": dict(sorted(decided.tally.items())),
        "examples": decided.examples,
        "aside": [decided.late, decided.rejected, [index for index, _ in decided.failed]],
        "stamps": decided.ledger.stamps,
        "stream_time": decided.ledger.stream_time,
    }


def _payload(kind: int, payload: bytes) -> Any:
    return decode_examples(payload) if kind == EXAMPLES else orjson.loads(payload)


def kept_of(partition: Partition) -> dict[str, Any]:
    """What is kept of a partition's customers at the end, in plain values."""
    records = {name: record for name, record in partition.records.items() if record is not None}
    return {
        "records": {name: _with_payloads(View(record)) for name, record in sorted(records.items())},
        "pages": {str(at): page for at, page in sorted(partition.pages.items())},
    }


def _with_payloads(view: View) -> list[Any]:
    """A record's value, whose effects are told, too."""
    value = view.value
    effects = [[e.source, e.offset, _payload(e.kind, e.payload)] for e in value.effects]
    return [msgspec.structs.replace(value, effects=()), effects]


def digest_of(seed: int, batches: int) -> str:
    """The hash of all bytes that a stream comes to."""
    chance, digest = Random(seed), blake2b()
    for drawn in drawn_stream(drawn_shop(chance), chance, batches):
        decided = drawn.decided
        failed = [(index, str(error)) for index, error in decided.failed]
        told = decided.changed, decided.effects, decided.pages, decided.tally, failed
        digest.update(repr((told, decided.ledger)).encode())
    return digest.hexdigest()

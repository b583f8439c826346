"""The simulated shoppers: a shop's events in, by and by, and offers answered.

Rules:

- The same seed, the same steps and the same offers received give the same records, byte for byte.
- Nothing is scripted: an offer sells when its items are worth it to the one who sees it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from stream.simulate import messages
from stream.simulate.campaigns import campaigns
from stream.simulate.choice import utilities
from stream.simulate.draws import Draws
from stream.simulate.goods import GOES_WITH
from stream.simulate.noise import Noise
from stream.simulate.people import Archetype, Offered, Shopper, Traits, customer_id, meet, traits
from stream.simulate.shop import Books, Page, Shop
from stream.simulate.showing import read, show
from stream.simulate.timeline import TimedRecord
from stream.simulate.visit import begin

_REACHED = 0.12  # chance to read an offer that comes when one is not in the shop
_READ_AFTER_MS = 15 * 60_000


class Shoppers:
    """A shop full of people.

    Parameters
    ----------
    seed
        Everything follows from it.
    customers, items
        How many people, and how many items are on the shelf at the start: at least 97, one of
        each kind.
    start_ms
        Time of the first moment, in ms since the epoch.
    pace
        How many times as fast as in life their days pass: 1 is a visit every other day or so.
    daily
        Whether traffic follows the hours of the day (UTC) and the days of the week.
    noise
        Share of records, in [0, 1], that come with a bad one: see :mod:`stream.simulate.noise`.

    Examples
    --------
    >>> shoppers = Shoppers(seed=7, customers=100, items=200, start_ms=1_700_000_000_000)
    >>> len(shoppers.catalog_records())
    200
    >>> records = shoppers.step(86_400)
    >>> records == Shoppers(7, 100, 200, 1_700_000_000_000).step(86_400)
    True
    """

    def __init__(
        self,
        seed: int,
        customers: int,
        items: int,
        start_ms: int,
        *,
        pace: float = 1.0,
        daily: bool = True,
        noise: float = 0.0,
    ) -> None:
        self._seed = seed
        self._customers = customers
        self._shop = Shop(seed, customers, items, start_ms, pace, daily)
        self._met: dict[int, Shopper] = {}
        self._arrivals: list[Draws] = []
        self._numbers = {customer_id(i): i for i in range(customers)}
        self._noise = Noise(seed, noise) if noise else None
        for number in range(customers):
            self._expect(number)

    @property
    def now(self) -> int:
        """The time up to which the story is told, in ms."""
        return self._shop.timeline.now

    @property
    def books(self) -> Books:
        """What each customer did so far: the truth, to measure offers against."""
        return self._shop.books

    @property
    def names(self) -> dict[str, str]:
        """The items' names, by id: on the shelf and still to come."""
        return {good.item_id: good.name for good in self._shop.goods.all}

    def catalog_records(self) -> list[TimedRecord]:
        """The items on the shelf now."""
        for item in range(self._shop.goods.on_shelf):
            self._shop.tell(item)
        return self._published()

    def campaign_records(self) -> list[TimedRecord]:
        """The shop's campaigns."""
        for value in campaigns(self.now):
            self._shop.timeline.publish("campaigns", value["campaign_id"], value)
        return self._published()

    def customer_records(self) -> list[TimedRecord]:
        """Consent and traits of those who are customers from the start; others tell it later."""
        for number in range(self._customers):
            who = traits(self._seed, number)
            if who.arrival == 0:
                self._introduce(number, who)
        return self._published()

    def step(self, seconds: float) -> list[TimedRecord]:
        """Let ``seconds`` of simulated time pass and return what was published, in time order."""
        records = self._shop.timeline.run(self.now + round(seconds * 1000))
        return self._noise.spoil(records) if self._noise else records

    def receive(self, offer: Mapping[str, Any] | bytes) -> None:
        """Let a shopper have an offer (JSON per ``schemas/``); the answer comes in later steps.

        On the page if the shopper is in the shop, else as a message that few read in time.
        """
        content = orjson.loads(offer) if isinstance(offer, bytes) else offer
        number = self._numbers.get(content["customer_id"])
        if number is None:
            return
        shopper = self._meet(number)
        self._shop.books.offers[number] += 1
        if not shopper.wants_offers:
            self._shop.books.unwanted[number] += 1
        offered = read(content, self._shop.goods.index)
        if shopper.visiting:
            shopper.inbox = offered
            return
        luck = Draws(self._seed, "reach", offered.offer_id)
        if luck.chance(_REACHED):
            self._shop.timeline.after(
                luck.exponential(_READ_AFTER_MS), self._read_message, shopper, offered
            )

    def utilities(self, customer: str, item_ids: Sequence[str], discount: int = 0) -> list[float]:
        """What items are worth to a customer now, in logits: the truth that no model sees."""
        shopper, goods = self._meet(self._numbers[customer]), self._shop.goods
        items = [goods.index[item_id] for item_id in item_ids]
        return utilities(shopper, goods, items, self.now, discount)

    def archetypes(self) -> list[str]:
        """The archetype of each customer, by number: the truth that segmentation looks for."""
        return [traits(self._seed, i).archetype.name for i in range(self._customers)]

    def willing(self) -> npt.NDArray[np.bool_]:
        """Who allowed offers from the start, by number."""
        consents = (traits(self._seed, i).consent for i in range(self._customers))
        return np.array([consent is not None and consent.offers for consent in consents])

    def goes_together(self, item_id: str, other_id: str) -> bool:
        """Whether people buy the one with the other: the truth that co-occurrence looks for."""
        kind, other = (self._kind(each) for each in (item_id, other_id))
        return other in GOES_WITH[kind] or kind in GOES_WITH[other]

    def _kind(self, item_id: str) -> int:
        goods = self._shop.goods
        return goods.all[goods.index[item_id]].kind

    def _published(self) -> list[TimedRecord]:
        return self._shop.timeline.run(self.now)

    def _expect(self, number: int) -> None:
        who = traits(self._seed, number)
        shop, draws = self._shop, Draws(self._seed, "arrivals", number)
        arrival = shop.timeline.now + round(who.arrival * shop.goods.day)
        self._arrivals.append(draws)
        if who.arrival:
            shop.timeline.at(arrival, self._introduce, number, who)
        self._await_visit(number, who.archetype, arrival)

    def _await_visit(self, number: int, archetype: Archetype, since: int) -> None:
        gap = self._arrivals[number].exponential(self._shop.goods.day / archetype.visits)
        self._shop.timeline.at(self._shop.rhythm.after(since, gap), self._visit, number)

    def _visit(self, number: int) -> None:
        shopper = self._meet(number)
        begin(self._shop, shopper)
        self._await_visit(number, shopper.archetype, self.now)

    def _meet(self, number: int) -> Shopper:
        shopper = self._met.get(number)
        if shopper is None:
            shopper = self._met[number] = meet(self._seed, number, self._shop.goods)
        return shopper

    def _introduce(self, number: int, who: Traits) -> None:
        if who.consent is None:
            return
        name = customer_id(number)
        known = {"channel": who.channel, "newsletter": who.newsletter}
        value = messages.customer(f"{name}-{self._shop.mark}", name, self.now, who.consent, known)
        self._shop.timeline.publish("customers", name, value)

    def _read_message(self, shopper: Shopper, offered: Offered) -> None:
        if shopper.visiting:
            shopper.inbox = offered
        elif offered.expires > self.now:
            show(self._shop, shopper, offered, partial(self._follow, shopper))

    def _follow(self, shopper: Shopper, page: Page | None) -> None:
        if page is not None:
            begin(self._shop, shopper, page)

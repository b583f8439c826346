"""What a report is made of, read from the topics of a broker or of a local log.

Rules
-----
- Offers that were sent twice count once; so does an impression, and an order.
- Who held out is known without a word on the log: the arm is a hash of the customer.
- What refused offers is counted by the workers since the beginning of the log.
- Decisions are those of the sampled share; a log without their topic has none.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.config import ConfigError, Settings
from stream.decide.decision import HOLDOUT
from stream.decide.fairness import values_of
from stream.decide.policy import may_offer
from stream.domain.event import Click, Feedback, Purchase, Response, Source, Trade
from stream.insight.changelog import read_customers
from stream.insight.events import Events, decoded_events

Tick = Callable[[int, str], None]


class Way(NamedTuple):
    """The variant of a campaign that an offer has, and which of the others are stopped.

    ``probability`` is with which it was chosen; ``begins`` is whether a trial begins with it.
    """

    name: str
    probability: float
    begins: bool
    stopped: tuple[str, ...] = ()


class MadeOffer(NamedTuple):
    """An offer, with the items and their probabilities; times in ms."""

    offer_id: str
    customer: str
    campaign: str
    arm: str
    segment: str
    discount: int
    issued: int
    items: tuple[str, ...]
    scores: tuple[float, ...]
    incentive: bool = False
    way: Way | None = None


class Order(NamedTuple):
    """A purchase: when, and what each item came to, in minor units of the shop's currency."""

    customer: str
    time: int
    items: Mapping[str, int]


class SampledDecision(NamedTuple):
    """A decision of the sampled share: when in ms, in which arm of the holdout, and why not.

    ``arm`` is empty where no offer was allowed, ``reason`` where one was made; ``share`` is of
    customers.
    """

    customer: str
    time: int
    arm: str
    reason: str
    share: float


class Gathered(NamedTuple):
    """All that a report needs.

    Attributes
    ----------
    offers
        By their ids.
    seen
        When each offer was shown, clicked or dismissed first, by response.
    orders
        In the order of time.
    visits
        Customer and time of each look.
    counts
        What became of events, and why there was no offer, since the beginning of the log.
    refused
        Customers who may be made no offer.
    segments
        Customers by segment.
    rules
        Association rules that stand, as the topic has them.
    end
        The latest time on the log, in ms; 0 if there is none.
    moments
        Decisions, each once.
    groups
        Of each group that is compared (``core.fairness_groups``), the value of each customer.
    """

    offers: Mapping[str, MadeOffer]
    seen: Mapping[Response, Mapping[str, int]]
    orders: Sequence[Order]
    visits: tuple[Sequence[str], Sequence[int]]
    counts: Mapping[str, int]
    refused: frozenset[str]
    segments: Mapping[int | None, int]
    rules: Sequence[Mapping[str, Any]]
    end: int
    moments: Sequence[SampledDecision] = ()
    groups: Mapping[str, Mapping[str, str]] = {}


class _Gatherer:
    def __init__(self, settings: Settings, tick: Tick, events: Events) -> None:
        self._settings, self._tick = settings, tick
        self._events = events
        self._done = 0
        self.offers: dict[str, MadeOffer] = {}
        self.seen: dict[Response, dict[str, int]] = {response: {} for response in Response}
        self.orders: dict[tuple[str, str], Order] = {}
        self.who: list[str] = []
        self.when = array("q")
        self.rules: dict[bytes, Mapping[str, Any]] = {}
        self.moments: dict[str, SampledDecision] = {}
        self._names: dict[str, str] = {}

    def read(self, topic: str, partitions: int, take: Callable[[Record], None], word: str) -> None:
        def counted(record: Record) -> None:
            take(record)
            self._done += 1
            if self._done % 1_000 == 0:
                self._tick(self._done, word)

        read_topic(self._settings, topic, partitions, counted)

    def offer(self, record: Record) -> None:
        told = _object(record.value)
        if "offer_id" not in told or told["offer_id"] in self.offers or not told.get("items"):
            return
        segment = told.get("segment") or {}
        items = told["items"]
        self.offers[told["offer_id"]] = MadeOffer(
            told["offer_id"],
            told["customer_id"],
            told["campaign_id"],
            told["arm"],
            "" if segment.get("id") is None else str(segment["id"]),
            told.get("discount_percent", 0),
            _milliseconds(told["issued_at"]),
            tuple(item["product_id"] for item in items),
            tuple(float(item["score"]) for item in items),
            "incentive" in told or bool(told.get("discount_percent")),
            _way(told.get("variant")),
        )

    def feedback(self, record: Record) -> None:
        event = self._events.of(Source.FEEDBACK, record)
        if isinstance(event, Feedback):
            made = self.offers.get(event.offer_id)
            if made is not None and made.customer == event.customer_id:
                first = self.seen[event.response]
                first[event.offer_id] = min(first.get(event.offer_id, event.time), event.time)

    def purchase(self, record: Record) -> None:
        event = self._events.of(Source.PURCHASES, record)
        if not isinstance(event, Purchase) or event.trade is not Trade.PURCHASE:
            return
        money: Counter[str] = Counter()
        for line in event.lines:
            known = line.price is not None and event.currency == self._settings.core.currency
            money[line.item_id] += (line.price or 0) * line.quantity if known else 0
        key = event.customer_id, event.order_id
        self.orders.setdefault(key, Order(event.customer_id, event.time, money))

    def click(self, record: Record) -> None:
        event = self._events.of(Source.CLICKS, record)
        if isinstance(event, Click):
            name = self._names.setdefault(event.customer_id, event.customer_id)
            self.who.append(name)
            self.when.append(event.time)

    def decision(self, record: Record) -> None:
        told = _object(record.value)
        if "decision_id" not in told or told["decision_id"] in self.moments:
            return
        name = self._names.setdefault(told["customer_id"], told["customer_id"])
        arm, reason = told["arms"].get(HOLDOUT, ""), told.get("reason", "")
        time = _milliseconds(told["decided_at"])
        self.moments[told["decision_id"]] = SampledDecision(name, time, arm, reason, told["share"])

    def decisions(self) -> None:
        """Read those that there are: a log of an earlier release has no topic for them."""
        topics, shards = self._settings.topics, self._settings.partitions
        try:
            self.read(topics.decisions, shards, self.decision, "decisions")
        except ConfigError as error:
            if "is missing" not in str(error):
                raise

    def rule(self, record: Record) -> None:
        key = record.key or b""
        if record.value is None:
            self.rules.pop(key, None)
        else:
            self.rules[key] = _object(record.value)


def gather(settings: Settings, tick: Tick) -> Gathered:
    """Read all topics that a report needs.

    Parameters
    ----------
    settings
        Of the log; a local one must not be open elsewhere.
    tick
        Is told how many records were read, and of what.

    Raises
    ------
    ConfigError
        If a topic is missing, or the broker does not answer.
    """
    topics, shards = settings.topics, settings.partitions
    with decoded_events(settings) as events:
        found = _Gatherer(settings, tick, events)
        found.read(topics.offers, shards, found.offer, "offers")
        found.read(topics.feedback, shards, found.feedback, "feedback")
        found.read(topics.purchases, shards, found.purchase, "purchases")
        found.read(topics.clicks, shards, found.click, "clicks")
    found.read(topics.rules, 1, found.rule, "rules")
    found.decisions()
    kept = read_customers(settings)
    counts: Counter[str] = Counter()
    for ledger in kept.ledgers:
        counts.update(ledger.counts)
    default = settings.core.policy.consent_default
    refused = frozenset(
        name for name, state in kept.states.items() if not may_offer(state.permission, default)
    )
    groups: dict[str, dict[str, str]] = {name: {} for name in settings.core.fairness_groups}
    for who, state in kept.states.items():
        told = {name: (fact, time) for name, fact, time in state.profile.traits}
        for group, value in values_of(told, settings.core.fairness_groups):
            groups[group][who] = value
    segments = Counter(state.profile.segment for state in kept.states.values())
    orders = sorted(found.orders.values(), key=lambda order: order.time)
    times = [*found.when[-1:], *(order.time for order in orders[-1:])]
    end = max([*times, max(found.when, default=0)], default=0)
    return Gathered(
        found.offers,
        found.seen,
        orders,
        (found.who, found.when),
        counts,
        refused,
        segments,
        list(found.rules.values()),
        end,
        list(found.moments.values()),
        groups,
    )


def by_customer(offers: Mapping[str, MadeOffer]) -> Mapping[str, list[MadeOffer]]:
    """Offers of each customer, in the order in which they were made."""
    found: defaultdict[str, list[MadeOffer]] = defaultdict(list)
    for made in sorted(offers.values(), key=lambda made: (made.issued, made.offer_id)):
        found[made.customer].append(made)
    return found


def _way(told: Mapping[str, Any] | None) -> Way | None:
    if not told:
        return None
    begins, stopped = bool(told.get("begins")), tuple(told.get("stopped", ()))
    return Way(told["name"], float(told["probability"]), begins, stopped)


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        found = orjson.loads(value or b"null")
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)

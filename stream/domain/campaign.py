"""What a campaign is made of: audience, incentive, hours, budget and rules, as values.

Rules: everything here is data that came from the topic ``campaigns`` (`stream.codec.campaigns`
reads and writes it); what is asked of a customer is asked in `stream.decide.campaigns.audience`,
and which campaign an offer is made for is decided in `stream.decide.campaigns.standing`.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

MINUTES: Final = 1_440  # of a day
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

RECOMMEND: Final = "recommend"
STRATEGIES: Final = (
    RECOMMEND,
    "cross_sell",
    "new_in_taste",
    "trending",
    "upsell",
    "viewed_not_bought",
    "rules",
)
"""How items are chosen; see `stream.decide.campaigns.strategies`."""
REMINDER: Final = "reminder"
WIN_BACK: Final = "win_back"
TIMED: Final = {REMINDER: "after", WIN_BACK: "idle"}
"""Strategies that begin a moment of their own (``moments``), and what says when."""


class Incentive(StrEnum):
    """What a customer gets on top."""

    NONE = "none"
    PERCENT = "percent"
    AMOUNT = "amount"
    FREE_SHIPPING = "free_shipping"


class Reward(NamedTuple):
    """An incentive and its size: in percent, or in minor units (of shipping, what it costs)."""

    kind: Incentive = Incentive.NONE
    size: int = 0

    def cost(self, price: int) -> int:
        """What it takes off a sale at a price, in minor units, rounded against the shop.

        >>> Reward(Incentive.PERCENT, 10).cost(1995), Reward(Incentive.AMOUNT, 500).cost(1995)
        (200, 500)
        """
        if self.kind is Incentive.PERCENT:
            return -(-price * self.size // 100)
        return self.size

    @property
    def off(self) -> tuple[int, int]:
        """What it takes off, in percent of the price and in minor units."""
        return (self.size, 0) if self.kind is Incentive.PERCENT else (0, self.size)

    def percent(self, price: int) -> int:
        """It in percent of a price, from 0 to 100; 0 where the price is not known.

        >>> Reward(Incentive.AMOUNT, 500).percent(2000), Reward(Incentive.AMOUNT, 500).percent(0)
        (25, 0)
        """
        if self.kind is Incentive.PERCENT or not self.size:
            return self.size
        return min(100 * self.size // price, 100) if price > 0 else 0


NO_REWARD: Final = Reward()


class Variant(NamedTuple):
    """A way of a campaign: its own strategy, its own incentive; None is the campaign's."""

    name: str
    strategy: str | None = None
    reward: Reward | None = None


class By(StrEnum):
    """How a variant is chosen."""

    BANDIT = "bandit"
    EVENLY = "evenly"


class Goal(StrEnum):
    """What the better variant brings more of, a customer."""

    PURCHASES = "purchases"
    REVENUE = "revenue"


class Choosing(NamedTuple):
    """How one of a campaign's variants is chosen for a customer.

    Attributes
    ----------
    by, goal
    floor
        Least probability of each variant that is not stopped.
    version
        Another one begins anew: what was learned is forgotten, and no variant is stopped.
    """

    by: By = By.BANDIT
    goal: Goal = Goal.PURCHASES
    floor: float = 0.05
    version: int = 1


class Bounds(NamedTuple):
    """A closed interval; None leaves a side open.

    >>> 3 in Bounds(low=3), 2 in Bounds(low=3), 4 in Bounds(high=3)
    (True, False, False)
    """

    low: float | None = None
    high: float | None = None

    def __contains__(self, value: object) -> bool:
        assert isinstance(value, int | float)
        if self.low is not None and value < self.low:
            return False
        return self.high is None or value <= self.high


class Trait(NamedTuple):
    """What a trait must be: one of some values, or a number within bounds."""

    name: str
    values: tuple[str | int | float | bool, ...] = ()
    bounds: Bounds | None = None


class Audience(NamedTuple):
    """Whom a campaign is for: who meets all of it; an empty one is everybody.

    Attributes
    ----------
    members
        Ids of the customers whom it is for, and nobody else; empty for all.
    excluded
        Ids of those whom it is not for.
    segments
        Numbers or names.
    traits
        As producers told them.
    figures
        Bounds by the name of a figure of the profile (`stream.decide.campaigns.audience.FIGURES`).
    liked
        Categories of which a customer likes at least one; they match by prefix at dots.
    any_of, none_of
        Audiences of which a customer meets at least one, and none.
    propensity, value
        Bounds on the best item that would be offered: P(purchase), and its expected margin in
        minor units.
    """

    members: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    segments: tuple[int | str, ...] = ()
    traits: tuple[Trait, ...] = ()
    figures: tuple[tuple[str, Bounds], ...] = ()
    liked: tuple[str, ...] = ()
    any_of: tuple[Audience, ...] = ()
    none_of: tuple[Audience, ...] = ()
    propensity: Bounds | None = None
    value: Bounds | None = None


class Hours(NamedTuple):
    """A time of the day on some days of the week, in a time zone.

    ``start`` and ``end`` are minutes of the day; where ``end`` is not after ``start`` it is on the
    next day, and the day is that of the start.
    """

    zone: str = "UTC"
    days: tuple[int, ...] = tuple(range(7))
    start: int = 0
    end: int = 0

    def __contains__(self, time: object) -> bool:
        """Whether a time in ms is within.

        >>> nights = Hours("Europe/Berlin", (4,), 22 * 60, 6 * 60)  # Friday, into Saturday
        >>> [hour * 3_600_000 + 1_699_660_800_000 in nights for hour in (-4, -3, 4, 5)]
        [False, True, True, False]
        """
        assert isinstance(time, int)
        local = datetime.fromtimestamp(time // 1000, zone_of(self.zone))
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return self.start <= minute < self.end and day in self.days
        if minute >= self.start:
            return day in self.days
        return minute < self.end and (day - 1) % 7 in self.days

    def end_of(self, time: int) -> int:
        """When the hours end that a time in ms is within, in ms: later, if not by much.

        Where clocks are put back or forward, the time of the day counts.

        >>> nights = Hours("Europe/Berlin", (4,), 22 * 60, 6 * 60)
        >>> (nights.end_of(1_699_660_800_000) - 1_699_660_800_000) / 3_600_000
        5.0
        """
        local = datetime.fromtimestamp(time // 1000, zone_of(self.zone))
        midnight = local.replace(hour=0, minute=0, second=0, tzinfo=None)
        ends = midnight + timedelta(minutes=self.end)
        if ends <= local.replace(tzinfo=None):
            ends += timedelta(days=1)
        end = round(ends.replace(tzinfo=zone_of(self.zone), fold=local.fold).timestamp())
        return max(end * 1000, time + 1)


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """A time zone by its name; KeyError if there is none (of `zoneinfo`)."""
    return ZoneInfo(name)


class Unit(StrEnum):
    """What a budget counts."""

    OFFERS = "offers"
    MONEY = "money"


class Budget(NamedTuple):
    """What a campaign may spend in all: offers, or minor units of incentives.

    ``even`` paces it over the time from the campaign's start to its end.
    """

    unit: Unit
    limit: int
    even: bool = False


class ItemRule(NamedTuple):
    """If all of its conditions hold, then these items.

    ``viewed`` and ``bought`` name items, ``category`` names categories of what was touched last, by
    prefix at dots. Empty ones hold for everybody.
    """

    items: tuple[str, ...]
    viewed: tuple[str, ...] = ()
    bought: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()


def is_within(category: str | None, wanted: tuple[str, ...]) -> bool:
    """Whether a category is one of some, or below one: at dots.

    >>> [is_within(c, ("shoes",)) for c in ("shoes", "shoes.kids", "shoeshine", None)]
    [True, True, False, False]
    """
    return category is not None and f"{category}.".startswith(_dotted(wanted))


@lru_cache(maxsize=4096)
def _dotted(categories: tuple[str, ...]) -> tuple[str, ...]:
    return tuple([f"{category}." for category in categories])

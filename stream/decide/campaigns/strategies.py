"""Strategies: which candidates a campaign chooses from.

Rules: each takes the candidates that are there anyway (`stream.decide.choice.candidates`), which
are gathered once a moment, and keeps or adds some. One that finds none leaves the moment to the
next campaign. Relevance is in (0, 1].
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Final

from stream.decide.campaigns.audience import is_of_segment
from stream.decide.campaigns.moments import due_touches
from stream.decide.choice.candidates import ORIGINS, WORTH, Candidate, gather, left_out, unbought
from stream.decide.choice.own import CustomerView, brought
from stream.decide.rows.history import CARTED
from stream.decide.rows.record import View
from stream.decide.world import World
from stream.domain.campaign import RECOMMEND, REMINDER, WIN_BACK, ItemRule, is_within
from stream.domain.event import Campaign, CatalogItem
from stream.domain.offer import Origin

ASKED: Final = 24  # candidates of one source
BEHIND = 1e-6  # what was looked at beside what waits in the cart: no margin makes up for that
DEARER, DEAREST = 1.05, 2.0  # of what is looked at: an upsell costs more, and is not out of reach


class Choice:
    """What may be offered in one moment, by strategy; each is found once, and none is on screen."""

    def __init__(
        self,
        customer: View,
        customer_id: str,
        world: World,
        screen: Collection[str] = (),
        when: tuple[int, int] = (0, 0),
    ) -> None:
        self.customer_id = customer_id
        self.customer, self.world, self.screen = customer, world, screen
        self.when = when  # a moment of its own came, and it is answered, in ms
        self._shown: CustomerView | None = None
        self._all: list[Candidate] | None = None
        self._found: dict[tuple[str, str], list[Candidate]] = {}

    @property
    def shown(self) -> CustomerView:
        """The customer as the shop's own extensions see it."""
        if self._shown is None:
            groups = self.world.settings.fairness_groups
            self._shown = CustomerView(self.customer, self.customer_id, groups)
        return self._shown

    @property
    def all(self) -> list[Candidate]:
        """Every candidate."""
        if self._all is None:
            own = brought(self.shown, self.when[1], self.world) if self.world.sources else ()
            self._all = gather(self.customer, self.world, self.screen, own)
        return self._all

    def of(self, campaign: Campaign) -> list[Candidate]:
        """The candidates of a campaign's strategy."""
        name = strategy_for(campaign, self.customer.segment, self.world)
        if name in (RECOMMEND, WIN_BACK):
            return self.all
        key = name, campaign.campaign_id if name in ("rules", REMINDER) else ""
        if key not in self._found:
            found = _STRATEGIES[name](self, campaign)
            self._found[key] = [one for one in found if one.item_id not in self.screen]
        return self._found[key]


def strategy_for(campaign: Campaign, segment: int | None, world: World) -> str:
    """The strategy of a campaign for the customers of a segment."""
    for wanted, name in campaign.by_segment:
        if is_of_segment((wanted,), segment, world):
            return name
    return campaign.strategy


def _cross_sell(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """What goes with what was bought or is in the cart."""
    return [found for found in choice.all if found.origin is Origin.BASKET]


def _viewed_not_bought(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """What was looked at before this moment, and not bought since."""
    touched = [touch.item_id for touch in unbought(choice.customer)]
    own = [item_id for item_id in touched if item_id not in choice.screen]
    return [Candidate(name, Origin.OWN, 1.0 / rank, name) for rank, name in enumerate(own, 1)]


def _reminder(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """What the moment reminds of: what waits in the cart first, whatever it earns."""
    touches = due_touches(choice.customer, campaign, *choice.when, choice.world.settings)
    own = sorted(touches, key=lambda touch: touch.weight != CARTED)
    return [
        Candidate(t.item_id, Origin.OWN, (1.0 if t.weight == CARTED else BEHIND) / rank, t.item_id)
        for rank, t in enumerate(own, 1)
    ]


def _trending(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """What the customer's segment buys, and what all do."""
    customer = choice.customer
    asked = choice.world.models.recommender.recommend(
        (), ASKED, left_out(customer, choice.screen), customer.session, customer.segment, ()
    )
    wanted = [one for one in asked if ORIGINS[one.source] in (Origin.SEGMENT, Origin.TRENDING)]
    return [
        Candidate(one.item, origin, WORTH[origin] / rank)
        for rank, one in enumerate(wanted, 1)
        for origin in (ORIGINS[one.source],)
    ]


def _new_in_taste(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """What is new, of a category that the customer likes, or alike to what was touched."""
    found = {one.item_id: one for one in choice.all if one.origin is Origin.NEW and one.because}
    tastes = [(name, weight) for name, weight in choice.customer.tastes if weight > 0]
    if tastes:
        strongest = tastes[0][1]
        newest = choice.world.newest
        items = choice.world.items(newest)
        for item_id, item in zip(newest, items, strict=True):
            weight = _liking(item, tastes)
            if weight and item_id not in choice.customer.bought:
                found.setdefault(item_id, Candidate(item_id, Origin.NEW, weight / strongest))
    return list(found.values())


def _liking(item: CatalogItem | None, tastes: list[tuple[str, float]]) -> float:
    if item is None:
        return 0.0
    return max([w for name, w in tastes if is_within(item.category, (name,))], default=0.0)


def _upsell(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """What costs more than what is looked at, up to twice as much, of the same category."""
    customer, world = choice.customer, choice.world
    if not customer.recent:
        return []
    seen = world.item(customer.recent[-1].item_id)
    if seen is None or seen.price is None or seen.category is None:
        return []
    low, high = seen.price * DEARER, seen.price * DEAREST
    items = world.items([found.item_id for found in choice.all])
    return [
        found
        for found, item in zip(choice.all, items, strict=True)
        if item is not None
        and item.price is not None
        and low <= item.price <= high
        and item.currency == seen.currency
        and is_within(item.category, (seen.category,))
    ]


def _rules(choice: Choice, campaign: Campaign) -> list[Candidate]:
    """The items of the first rule that holds."""
    for rule in campaign.rules:
        because = _holds(rule, choice)
        if because is not None:
            return [
                Candidate(item, Origin.RULE, 1.0 / rank, because or None)
                for rank, item in enumerate(rule.items, 1)
            ]
    return []


def _holds(rule: ItemRule, choice: Choice) -> str | None:
    """What a rule holds because of, "" for nothing; None if it does not."""
    customer, because = choice.customer, ""
    touched = [touch.item_id for touch in reversed(customer.recent)]
    if rule.categories:
        items = [item for item in choice.world.items(touched) if item is not None]
        meant = [item for item in items if is_within(item.category, rule.categories)]
        if not meant:
            return None
        because = meant[0].item_id
    for wanted, known in ((rule.bought, customer.bought), (rule.viewed, touched)):
        if wanted:
            met = [item_id for item_id in wanted if item_id in known]
            if not met:
                return None
            because = met[0]
    return because


_STRATEGIES: Final[Mapping[str, Callable[[Choice, Campaign], list[Candidate]]]] = {
    "cross_sell": _cross_sell,
    "viewed_not_bought": _viewed_not_bought,
    REMINDER: _reminder,
    "trending": _trending,
    "new_in_taste": _new_in_taste,
    "upsell": _upsell,
    "rules": _rules,
}

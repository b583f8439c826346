"""What a shop's own extensions say in a decision: see `stream.extending`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType

from stream.decide.choice.candidates import Candidate
from stream.decide.policy import Denial
from stream.decide.rows.record import View
from stream.decide.witness import unwatched
from stream.decide.world import World
from stream.domain.campaign import Reward
from stream.domain.event import Campaign, CatalogItem
from stream.domain.offer import OF_SOURCE, Origin
from stream.extending import Asked, Fact, Wanted


class CustomerView:
    """A customer as an extension sees it: nothing of it can be changed.

    Groups that are compared steer nothing, so they are not shown.
    """

    def __init__(self, customer: View, customer_id: str, groups: Sequence[str]) -> None:
        self._view, self._groups = customer, groups
        self._customer_id = customer_id

    @property
    def customer_id(self) -> str:
        """The shop's name for the customer."""
        return self._customer_id

    @cached_property
    def traits(self) -> Mapping[str, Fact]:
        """What the shop told, by name."""
        told = self._view.told.items()
        return MappingProxyType({k: fact for k, (fact, _) in told if k not in self._groups})

    @property
    def segment(self) -> int | None:
        """The customer's segment."""
        return self._view.segment

    @cached_property
    def touched(self) -> Sequence[str]:
        """The last items touched, oldest first."""
        return tuple([touch.item_id for touch in self._view.recent])

    @cached_property
    def session(self) -> Sequence[str]:
        """Those of the open session."""
        return tuple(self._view.session_items)

    @cached_property
    def bought(self) -> Mapping[str, int]:
        """The last items bought, with a time in ms."""
        return MappingProxyType(self._view.bought)

    @cached_property
    def spent(self) -> Mapping[str, int]:
        """What was spent in minor units, by currency."""
        return MappingProxyType(self._view.spent)

    @cached_property
    def tastes(self) -> Sequence[tuple[str, float]]:
        """The categories that the customer likes, the strongest first."""
        return tuple(self._view.tastes)


def brought(customer: CustomerView, now: int, world: World) -> list[Candidate]:
    """The candidates of the shop's own sources."""
    wanted = Wanted(customer, unwatched(world), world.newest, now)
    return [
        Candidate(item_id, origin, relevance)
        for source in world.sources
        for origin in (Origin(OF_SOURCE + source.name),)
        for item_id, relevance in source.find(wanted)
    ]


def judged(
    denied: Sequence[Denial | None],
    items: Sequence[tuple[str, CatalogItem | None]],
    customer: CustomerView,
    campaign: Campaign,
    reward: Reward,
    now: int,
    world: World,
) -> list[Denial | None]:
    """For each item why it is not offered, once those that may be are judged by the own rules."""
    return [
        denial or _judged(Asked(customer, *item, campaign, reward, now), world)
        for denial, item in zip(denied, items, strict=True)
    ]


def _judged(asked: Asked, world: World) -> Denial | None:
    """The word of the first rule that forbids an item."""
    for rule in world.rules:
        if said := rule.judge(asked):
            return Denial(said)
    return None

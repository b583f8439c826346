"""Counts by groups of customers (``core.fairness_groups``), for metrics with bounded labels.

Rules: a value is shown once it was met in as many customers as ``core.fairness_least`` says, and
then with all that was counted. Of each group `MOST` values have a name of their own; the rest are
``other``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from stream.decide.fairness import Member
from stream.worker.telemetry.instruments import BoundedLabel

MOST: Final = 16


class GroupCount(NamedTuple):
    """What came of moments of a group's value: how many there were, and of them with an offer."""

    group: str
    value: str
    moments: int
    offers: int
    incentives: int


class Comparing:
    """Counts what came of moments by group, and hands on what may be shown.

    Parameters
    ----------
    least
        Customers of a value that is shown.

    Examples
    --------
    >>> groups = Comparing(2)
    >>> [list(groups.note([Member(who, "age", "30", True, False)])) for who in ("anna", "anna")]
    [[], []]
    >>> list(groups.note([Member("otto", "age", "30", False, False)]))
    [GroupCount(group='age', value='30', moments=3, offers=2, incentives=0)]
    """

    def __init__(self, least: int) -> None:
        self._least = least
        self._labels: dict[str, BoundedLabel] = {}
        self._met: dict[tuple[str, str], set[str]] = {}
        self._shown: set[tuple[str, str]] = set()
        self._kept: dict[tuple[str, str], GroupCount] = {}

    def note(self, members: Iterable[Member]) -> Iterator[GroupCount]:
        """Note moments; return what is to be added to what was shown."""
        for member in members:
            label = self._labels.setdefault(member.group, BoundedLabel(MOST))
            place = member.group, label(member.value)
            if place not in self._shown:
                met = self._met.setdefault(place, set())
                met.add(member.customer_id)
                if len(met) >= self._least:
                    self._shown.add(place)
                    del self._met[place]
            known = self._kept.get(place, GroupCount(*place, 0, 0, 0))
            self._kept[place] = known._replace(
                moments=known.moments + 1,
                offers=known.offers + member.offered,
                incentives=known.incentives + member.incentive,
            )
        return iter([self._kept.pop(place) for place in [*self._kept] if place in self._shown])

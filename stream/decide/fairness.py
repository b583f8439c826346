"""Groups of customers whose treatment is compared, and by which nobody is treated.

Rules. Which traits are groups is declared (``core.fairness_groups``). They are in no feature, as no
trait is, and no campaign may ask for one: they are looked at once all is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from stream.decide.rows.traits import Fact, Told
from stream.domain.campaign import Audience

LONGEST: Final = 64
"""Letters of a value that are told."""


class Member(NamedTuple):
    """A customer of a group in one moment, and what came of it."""

    customer_id: str
    group: str
    value: str
    offered: bool
    incentive: bool


def values_of(told: Told, groups: Sequence[str]) -> Iterator[tuple[str, str]]:
    """The groups of which a customer's traits tell, each with its value.

    >>> list(values_of({"vip": (True, 5), "tier": ("gold", 5)}, ["age", "vip"]))
    [('vip', 'true')]
    """
    for group in groups:
        if group in told:
            yield group, said(told[group][0])


def said(fact: Fact) -> str:
    """A trait's value as a group's name.

    >>> said(True), said(30), said("18-29")
    ('true', '30', '18-29')
    """
    return (str(fact).lower() if isinstance(fact, bool) else str(fact))[:LONGEST]


def asked_for(audience: Audience | None, groups: Sequence[str], at: str) -> str | None:
    """The first place at which an audience asks for a group; None if it asks for none.

    Parameters
    ----------
    audience, groups
    at
        Where the audience stands, as a JSON pointer.
    """
    if audience is None:
        return None
    for trait in audience.traits:
        if trait.name in groups:
            return f"{at}/traits/{trait.name}"
    for name, parts in (("any_of", audience.any_of), ("none_of", audience.none_of)):
        for number, part in enumerate(parts):
            found = asked_for(part, groups, f"{at}/{name}/{number}")
            if found is not None:
                return found
    return None

"""The checker's own books: what was sent where, and what that must come to.

A record's place is its topic, partition and offset, as the broker acknowledged it.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tests.auditor.shop import Expected, May, Sent, Shop

UNKNOWN: Final = -1
OUTCOMES: Final = ("applied", "duplicate", "late", "suppressed", "rejected")


class Place(NamedTuple):
    """Where a record stands; the topic without the shop's prefix."""

    topic: str
    partition: int
    offset: int


@dataclass
class Books:
    """What was sent, place by place, compactly: a run may have millions of records."""

    shop: Shop
    records: int = 0
    expected: Counter[Expected] = field(default_factory=Counter)
    garbage: dict[Place, bytes | None] = field(default_factory=dict)
    late: set[bytes] = field(default_factory=set)
    _causes: dict[tuple[str, int], array[int]] = field(default_factory=dict)

    def enter(self, place: Place, sent: Sequence[Sent]) -> None:
        """Note records that stand one after the other from a place on."""
        causes = self._causes.setdefault(place[:2], array("q"))
        causes.extend([UNKNOWN] * (place.offset - len(causes)))
        for number, one in enumerate(sent, place.offset):
            causes.append(len(May) * one.customer + one.may)
            self.expected[one.expected] += 1
            if one.expected is Expected.REJECTED:
                self.garbage[place._replace(offset=number)] = one.value
            elif one.expected is Expected.LATE:
                self.late.add(one.value or b"")
        self.records += len(sent)

    def cause(self, place: Place) -> tuple[int, May]:
        """Whose record stands in a place, -1 if nobody's, and if it may cause an offer."""
        causes = self._causes.get(place[:2], array("q"))
        if not 0 <= place.offset < len(causes) or causes[place.offset] == UNKNOWN:
            return UNKNOWN, May.NO
        customer, may = divmod(causes[place.offset], len(May))
        return customer, May(may)

    def bounds(self, outcome: str) -> tuple[int, int]:
        """How many records must have an outcome at the least and may have it at the most."""
        least = self.expected[Expected(outcome)] if outcome in set(Expected) else 0
        return least, least if outcome == "rejected" else least + self.expected[Expected.ANY]

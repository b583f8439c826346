"""Recalls: open offers that are not to be shown any more, and why.

Rules: a purchase recalls the offers that hold what was bought; a customer who may be made no offers
any more, or is erased, all of them; a campaign that has ended those of its own, with the next
record of the customer. An offer is recalled once, by the record that its recall follows from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stream.decide.campaigns.standing import ends_of
from stream.decide.policy import may_offer
from stream.decide.rows.advance import recall
from stream.decide.rows.delivery import CLOSED
from stream.decide.rows.layout import LARGEST
from stream.decide.rows.record import Desk, View, front, offered_of
from stream.decide.rows.state import Made
from stream.domain.event import Campaign, Event, Purchase, Trade
from stream.domain.offer import Reason, Recall


def has_open(record: bytes, now: int) -> bool:
    """Whether any offer may be open at a time in ms."""
    return offered_of(record)[1] > now


def withdrawn(
    before: bytes, after: bytes | None, customer_id: str, now: int, default: bool, desk: Desk
) -> tuple[bytes | None, tuple[Recall, ...]]:
    """The record after a word of the customer's, and what that recalls.

    Parameters
    ----------
    before, after
        The record without and with the word; None if it was erased.
    customer_id
    now
        Stream time in ms.
    default
        What silence means.
    desk
    """
    if after is before or not has_open(before, now):
        return after, ()
    if after is not None and may_offer(front(after).permission, default):
        return after, ()
    due = {offer.offer_id: Reason.WITHDRAWAL for offer in _open(View(before), now)}
    return _recalled(after, due, customer_id, now, desk)


def followed(
    record: bytes, event: Event, now: int, campaigns: Sequence[Campaign], desk: Desk
) -> tuple[bytes, tuple[Recall, ...]]:
    """The record of a customer after an event that was taken, and what that recalls.

    Parameters
    ----------
    record
    event
    now
        Stream time in ms.
    campaigns
        All that there are.
    desk
    """
    bought, (_, until, of_campaign) = _bought(event), offered_of(record)
    if (until if bought else of_campaign) <= now:
        return record, ()
    due, ends = {}, ends_of(campaigns)
    for offer in _open(View(record), now):
        if bought and (not offer.items or not bought.isdisjoint(offer.items)):
            due[offer.offer_id] = Reason.PURCHASE
        elif ends.get(offer.campaign_id, 0) <= now:
            due[offer.offer_id] = Reason.CAMPAIGN_ENDED
    made, recalls = _recalled(record, due, event.customer_id, now, desk)
    assert made is not None
    return made, recalls


def first_end(record: bytes, now: int, ends: Mapping[str, int]) -> int:
    """When the first campaign ends of which an offer is open, in ms; `LARGEST` if none is.

    ``ends`` says when each does, as of :func:`stream.decide.campaigns.standing.ends_of`.
    """
    if offered_of(record)[2] <= now:
        return LARGEST
    return min([ends.get(o.campaign_id, 0) for o in _open(View(record), now)], default=LARGEST)


def _open(customer: View, now: int) -> list[Made]:
    return [o for o in customer.offers if not o.state & CLOSED and o.expires > now]


def _bought(event: Event) -> frozenset[str]:
    if isinstance(event, Purchase) and event.trade is Trade.PURCHASE:
        return frozenset([line.item_id for line in event.lines])
    return frozenset()


def _recalled(
    record: bytes | None, due: Mapping[str, Reason], customer_id: str, now: int, desk: Desk
) -> tuple[bytes | None, tuple[Recall, ...]]:
    """A record in which offers are closed, with its effects, and their recalls."""
    if not due:
        return record, ()
    if record is not None:
        which = bytes([offer.offer_id in due for offer in View(record).offers])
        size = front(record).size
        recall(record, which, desk.tables)
        record = desk.record() + record[size:]
    return record, tuple([Recall(name, customer_id, now, why) for name, why in due.items()])

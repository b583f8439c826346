"""What was offered to a customer, and what became of it: the ground of caps, rests and recalls.

Rules: an offer is known by its id for as long as feedback may come, and among the newest only; what
is said of any other is of none of ours, and changes nothing. An offer is open until it expires, is
dismissed or is recalled; the items of open offers are known, so that a purchase can recall them. Of
the customer's dismissals the newest are kept: of items, and of campaigns.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.decide.rows.arriving import DISMISS, IMPRESSION, RESPONSE, Arrival, item_of, own_text
from stream.decide.rows.layout import (
    COOLED,
    HELD,
    NOBODY,
    OF_A_DAY,
    Bytes,
    Table,
    cut,
    keep_last,
    number_of,
)
from stream.models.base.kernel import kernel

MOST_A_DAY: Final = OF_A_DAY - 1  # offers remembered of a customer: no cap can be higher
CLICKED, DISMISSED, RECALLED, STANDING = 1, 2, 4, 8  # of `MADE.state`; the last: of no campaign
BOUGHT, PUT_OFF = 16, 32  # of a trial: what was told of it
EDITION: Final = 8  # the place of the first bit of a trial's edition
CLOSED: Final = DISMISSED | RECALLED
OF_CAMPAIGN, OF_ITEM = 0, 1  # kinds of what rests
MARK_LETTERS: Final = 32  # of an offer's id, hexadecimal


@kernel
def place_of(customer: Table, offer: Bytes) -> int:
    """Where an offer stands among those that were made, by its id; `NOBODY` if it is unknown."""
    if len(offer) != MARK_LETTERS:
        return NOBODY
    for at in range(customer["n_made"]):
        mark = customer["made"][at]["mark"]
        n = 0
        while n < len(mark) and _digit(offer[2 * n]) * 16 + _digit(offer[2 * n + 1]) == mark[n]:
            n += 1
        if n == len(mark):
            return at
    return NOBODY


@kernel
def _digit(letter: int) -> int:
    """The value of a hexadecimal digit, as `bytes.hex` writes it; far below 0 if it is none."""
    value = np.int64(letter)
    if 48 <= value <= 57:
        return int(value - 48)
    return int(value - 87) if 97 <= value <= 102 else -1_000


@kernel
def first_held(customer: Table, place: int) -> int:
    """Where the items of an offer begin among those that are held."""
    first = 0
    for at in range(place):
        first += customer["made"][at]["items"]
    return first


@kernel
def put(customer: Table, offer: Arrival) -> None:
    """Put an offer behind those that were made.

    Parameters
    ----------
    customer : ROW
    offer
        Its own text is its id, its first line the campaign, and the others are its items. Its
        ``now`` is when it expires, its ``session`` the time up to which others are forgotten, and
        ``at_home`` says that it is of no campaign. ``named`` and ``source`` are of a trial that
        begins with it: its code, 0 for none, and the edition.
    """
    event = offer.event[0]
    _let_go(customer, event["time"], event["session"])
    items = len(offer.lines) - 1
    at, first = customer["n_made"], customer["n_held"]
    made = customer["made"][at]
    made["time"], made["expires"], made["shown"] = event["time"], event["now"], 0
    made["text"] = number_of(customer, item_of(offer, 0))
    made["items"], made["trial"] = items, event["named"]
    made["state"] = STANDING if event["at_home"] else event["source"] << EDITION
    text = own_text(offer)
    for n in range(len(made["mark"])):
        made["mark"][n] = _digit(text[2 * n]) * 16 + _digit(text[2 * n + 1])
    for n in range(items):
        customer["held"][first + n] = number_of(customer, item_of(offer, n + 1))
    customer["n_made"], customer["n_held"] = at + 1, first + items
    for old in range(at):
        if customer["n_held"] > HELD:
            _drop_items(customer, old)
    look_open(customer, event["time"])


@kernel
def respond(customer: Table, arrival: Arrival) -> None:
    """Take over what a customer made of an offer, if it is one of theirs that is known."""
    event = arrival.event[0]
    kind, time, place = event["kind"], event["time"], place_of(customer, own_text(arrival))
    if place == NOBODY:
        return
    made = customer["made"][place]
    if not made["shown"]:  # whoever clicks or dismisses has seen it
        customer["offers_shown"] += 1
        made["shown"] = time
    elif kind == IMPRESSION:
        made["shown"] = min(made["shown"], time)
    if kind == RESPONSE and not made["state"] & CLICKED:
        customer["offers_clicked"] += 1
        made["state"] |= CLICKED
    if kind == DISMISS:
        _dismiss(customer, arrival, place)


@kernel
def end_trials(customer: Table) -> None:
    """Have no offer that was made try anything any more."""
    for made in customer["made"][: customer["n_made"]]:
        if made["trial"]:
            made["trial"] = 0
            made["state"] &= BOUGHT - 1


@kernel
def _dismiss(customer: Table, arrival: Arrival, place: int) -> None:
    """Have the customer, the campaign and the items rest; one item alone if it is named."""
    made, time = customer["made"][place], arrival.event[0]["time"]
    if not made["state"] & DISMISSED:
        customer["dismissed"] += 1
        made["state"] |= DISMISSED
    customer["last_dismissed"] = max(customer["last_dismissed"], time)
    _cool(customer, made["text"], OF_CAMPAIGN, time)
    if len(arrival.lines):
        _cool(customer, number_of(customer, item_of(arrival, 0)), OF_ITEM, time)
    else:
        first = first_held(customer, place)
        for at in range(first, first + made["items"]):
            _cool(customer, customer["held"][at], OF_ITEM, time)
    _drop_items(customer, place)
    look_open(customer, time)


@kernel
def _cool(customer: Table, text: int, kind: int, time: int) -> None:
    """Note when something was dismissed last; the newest are kept."""
    cooled, n = customer["cooled"], customer["n_cooled"]
    for at in range(n):
        if cooled[at]["text"] == text and cooled[at]["count"] == kind:
            time = max(time, cooled[at]["value"])
            n = cut(cooled, n, at, at + 1)
            break
    n = keep_last(cooled, n, COOLED - 1)
    cooled[n]["text"], cooled[n]["count"], cooled[n]["value"] = text, kind, time
    customer["n_cooled"] = n + 1


@kernel
def rests(customer: Table, item: int) -> bool:
    """Whether an item, a number of the record's, was dismissed."""
    found = False
    for one in customer["cooled"][: customer["n_cooled"]]:
        found |= one["text"] == item and one["count"] == OF_ITEM
    return found


@kernel
def close(customer: Table, which: Bytes) -> None:
    """Have offers be recalled: those of which ``which``, uint8 (n_made,), is not 0."""
    for at in range(min(len(which), customer["n_made"])):
        if which[at]:
            customer["made"][at]["state"] |= RECALLED
            _drop_items(customer, at)
    look_open(customer, 0)


@kernel
def look_open(customer: Table, now: int) -> None:
    """Note until when any offer is open, and any of a campaign's."""
    last = of_campaign = 0
    for made in customer["made"][: customer["n_made"]]:
        if not made["state"] & CLOSED and made["expires"] > now:
            last = max(last, made["expires"])
            if not made["state"] & STANDING:
                of_campaign = max(of_campaign, made["expires"])
    customer["open_until"], customer["campaign_until"] = last, of_campaign


@kernel
def _let_go(customer: Table, now: int, forgotten: int) -> None:
    """Forget old offers, the items of those that are no longer open, and one of too many."""
    for at in range(customer["n_made"] - 1, -1, -1):
        made = customer["made"][at]
        if made["expires"] <= now:
            _drop_items(customer, at)
            if made["time"] <= forgotten:
                _drop(customer, at)
    if customer["n_made"] < MOST_A_DAY:
        return
    place = 0  # the oldest, but one that was seen counts in caps for as long as it may
    for at in range(customer["n_made"] - 1, -1, -1):
        if not customer["made"][at]["shown"] and customer["made"][at]["expires"] <= now:
            place = at
    _drop(customer, place)


@kernel
def _drop(customer: Table, place: int) -> None:
    _drop_items(customer, place)
    customer["n_made"] = cut(customer["made"], customer["n_made"], place, place + 1)


@kernel
def _drop_items(customer: Table, place: int) -> None:
    """Forget which items an offer holds."""
    made, first = customer["made"][place], first_held(customer, place)
    end = first + made["items"]
    customer["n_held"] = cut(customer["held"], customer["n_held"], first, end)
    made["items"] = 0

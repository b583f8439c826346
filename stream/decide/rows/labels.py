"""Labels: that an exposure was, and that it was bought, with the features that it had then.

Rules: an exposure is told at once, as one that nobody bought; a purchase within the attribution
window takes that back (ADR 170). It waits for a purchase until stream time has passed the window
and the grace for late events, and is dropped with the customer's next event or, if there is none, a
little later; a full list drops its oldest early. What an offer showed waits no longer where the
customer dismisses it, and a click or a dismissal says that it was seen. Nothing is ever computed
afterwards from a later state (no leakage).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from stream.decide.rows.arriving import (
    CART,
    DISMISS,
    IMPRESSION,
    ORDER,
    RESPONSE,
    Arrival,
    item_of,
    own_text,
)
from stream.decide.rows.delivery import (
    BOUGHT,
    EDITION,
    PUT_OFF,
    first_held,
    place_of,
)
from stream.decide.rows.features import (
    BEGUN,
    OF_NONE,
    ORGANIC,
    ORIGIN,
    SEGMENT,
    describe_line,
    describe_moment,
    describe_offer,
    hash_number,
    hash_of,
)
from stream.decide.rows.layout import (
    EXPOSURE,
    FEATURES,
    MARK,
    MOST,
    NEVER,
    NOBODY,
    PENDING,
    Table,
    cut,
    find,
    keep_last,
    number_of,
    text_of,
)
from stream.decide.rows.messagepack import (
    put_byte,
    put_bytes,
    put_head,
    put_number,
    put_optional,
    put_text,
)
from stream.decide.rows.profile import value_of
from stream.models.base.kernel import kernel
from stream.models.base.packed import LABELLED, SEGMENTS, TRIAL

LABEL_SIZE: Final = 96  # bytes of a label, at most
OF_ORGANIC: Final = hash_of("origin", ORGANIC)


@kernel
def join(customer: Table, arrival: Arrival, rules: Table, examples: Table) -> None:
    """Label what an event decides, and what the time that passed does; let a click wait."""
    event = arrival.event[0]
    kind, now = event["kind"], event["now"]
    if not rules["learning"]:
        forget(customer)
        return
    if kind == ORDER:
        _convert(customer, arrival, rules, examples)
        _tell_order(customer, arrival, rules, examples)
    elif kind in (IMPRESSION, RESPONSE):
        _show(customer, arrival, rules, examples)
    elif kind == DISMISS:
        _show(customer, arrival, rules, examples)
        _refuse(customer, arrival)
        _tell_dismissal(customer, arrival, rules, examples)
    mature(customer, now, rules)
    if kind <= CART:
        _expose_click(customer, arrival, rules, examples)


@kernel
def forget(customer: Table) -> None:
    """Have nothing wait for a label."""
    customer["n_exposures"] = 0
    customer["n_pending"] = 0
    customer["n_slates"] = 0
    customer["due"] = 0
    customer["page"] = NEVER


@kernel
def mature(customer: Table, now: int, rules: Table) -> None:
    """Let nothing wait that no purchase can turn positive any more."""
    exposures, deadline = customer["exposures"], now - rules["maturity"]
    kept = 0
    for at in range(customer["n_exposures"]):
        if exposures[at]["time"] >= deadline:
            exposures[kept] = exposures[at]
            kept += 1
    customer["n_exposures"] = kept


@kernel
def waits(customer: Table, item: int) -> bool:
    """Whether an exposure of an item, a number of the record's, waits already."""
    found = False
    for at in range(customer["n_exposures"]):
        found |= customer["exposures"][at]["text"] == item
    return found


@kernel
def remember(customer: Table, arrival: Arrival, features: Table) -> None:
    """Keep an offer's items until its impression is reported, and drop the oldest of too many.

    Parameters
    ----------
    customer : ROW
    arrival
        The offer: its own text is the id, and its lines behind the first are the items.
    features : uint32 (items, features)
    """
    n = len(arrival.lines) - 1
    while customer["n_pending"] >= PENDING:
        _drop_pending(customer, 0)
    pending = customer["pending"][customer["n_pending"]]
    pending["text"] = number_of(customer, own_text(arrival))
    pending["count"] = n
    pending["value"] = arrival.event[0]["time"]
    customer["n_pending"] += 1
    for place in range(n):
        slate = customer["slates"][customer["n_slates"]]
        slate["text"] = number_of(customer, item_of(arrival, place + 1))
        slate["time"] = 0
        for at in range(FEATURES):
            slate["features"][at] = features[place, at]
        customer["n_slates"] += 1


@kernel
def _convert(customer: Table, arrival: Arrival, rules: Table, examples: Table) -> None:
    """Make positive what was bought in time."""
    exposures, time = customer["exposures"], arrival.event[0]["time"]
    items = np.zeros(customer["n_ends"], MARK)
    for line in range(len(arrival.lines)):
        number = find(customer, item_of(arrival, line))
        if number != NOBODY:
            items[number] = 1
    kept = 0
    for at in range(customer["n_exposures"]):
        age = time - exposures[at]["time"]
        if items[exposures[at]["text"]] and age >= 0 and age <= rules["window"]:
            _label(customer, exposures[at], time, 1, examples)
        else:
            exposures[kept] = exposures[at]
            kept += 1
    customer["n_exposures"] = kept


@kernel
def _tell_order(customer: Table, arrival: Arrival, rules: Table, examples: Table) -> None:
    """Tell of each trial under way that its customer bought, whatever it was, and for how much."""
    event, spent = arrival.event[0], 0
    if event["at_home"]:
        spent = min(max(value_of(arrival), 0), MOST - 1)
    for made in customer["made"][: customer["n_made"]]:
        if _is_tried(made, event["time"], rules) and not made["state"] & BOUGHT:
            made["state"] |= BOUGHT
            _tell_trial(customer, made, event["time"], 1, spent, examples)


@kernel
def _tell_dismissal(customer: Table, arrival: Arrival, rules: Table, examples: Table) -> None:
    """Tell of the trial under way of an offer's campaign that the customer dismissed the offer."""
    place, time = place_of(customer, own_text(arrival)), arrival.event[0]["time"]
    if place == NOBODY:
        return
    campaign = customer["made"][place]["text"]
    for made in customer["made"][: customer["n_made"]]:
        tried = made["text"] == campaign and _is_tried(made, time, rules)
        if tried and not made["state"] & PUT_OFF:
            made["state"] |= PUT_OFF
            _tell_trial(customer, made, time, 2, 0, examples)


@kernel
def _is_tried(made: Table, time: int, rules: Table) -> bool:
    """Whether a trial is under way that began with an offer."""
    age = time - made["time"]
    return bool(made["trial"] and 0 <= age < rules["window"])


@kernel
def _tell_trial(
    customer: Table, made: Table, time: int, what: int, spent: int, examples: Table
) -> None:
    """Write a `Trial`: what came of the one that began with an offer."""
    put_head(examples, 6, TRIAL)
    put_number(examples, time)
    put_text(examples, text_of(customer, made["text"]))
    put_number(examples, made["state"] >> EDITION)
    put_number(examples, made["trial"])
    put_byte(examples, what)
    put_number(examples, spent)


@kernel
def _show(customer: Table, arrival: Arrival, rules: Table, examples: Table) -> None:
    """Let the items of an offer that was seen wait, with the features that they had in it."""
    time = arrival.event[0]["time"]
    offer = find(customer, own_text(arrival))
    if offer == NOBODY:
        return
    first = 0
    for at in range(customer["n_pending"]):
        n = customer["pending"][at]["count"]
        if customer["pending"][at]["text"] == offer:
            for slate in range(first, first + n):
                customer["slates"][slate]["time"] = time
                _expose(customer, customer["slates"][slate], rules, examples)
            _drop_pending(customer, at)
            return
        first += n


@kernel
def _refuse(customer: Table, arrival: Arrival) -> None:
    """Let nothing wait of an offer that was dismissed; one item alone if it is named."""
    place = place_of(customer, own_text(arrival))
    if place == NOBODY:
        return
    items = np.zeros(customer["n_ends"], MARK)
    first = first_held(customer, place)
    for item in customer["held"][first : first + customer["made"][place]["items"]]:
        items[item] = len(arrival.lines) == 0
    if len(arrival.lines):
        number = find(customer, item_of(arrival, 0))
        if number != NOBODY:
            items[number] = 1
    kept, exposures = 0, customer["exposures"]
    for at in range(customer["n_exposures"]):
        offered = exposures[at]["features"][ORIGIN] != OF_ORGANIC
        if not (items[exposures[at]["text"]] and offered):
            exposures[kept] = exposures[at]
            kept += 1
    customer["n_exposures"] = kept


@kernel
def _expose_click(customer: Table, arrival: Arrival, rules: Table, examples: Table) -> None:
    """Let a click wait, described by what was known of the customer before it."""
    time = arrival.event[0]["time"]
    item = number_of(customer, item_of(arrival, 0))
    if waits(customer, item):
        return
    exposures = np.zeros(1, EXPOSURE)
    exposure = exposures[0]
    exposure["text"] = item
    exposure["time"] = time
    row = exposure["features"]
    describe_line(row, customer, arrival, 0, 1)
    describe_moment(row, customer, time)
    describe_offer(row, OF_ORGANIC, 0)
    _expose(customer, exposure, rules, examples)


@kernel
def _expose(customer: Table, exposure: Table, rules: Table, examples: Table) -> None:
    """Tell of an exposure, and let it wait; the first of an item keeps its place and features."""
    exposures = customer["exposures"]
    if waits(customer, exposure["text"]):
        return
    _label(customer, exposure, exposure["time"], 0, examples)
    n = customer["n_exposures"]
    exposures[n] = exposure
    customer["n_exposures"] = keep_last(exposures, n + 1, rules["exposures"])
    if not customer["due"]:
        customer["due"] = exposure["time"]


@kernel
def _drop_pending(customer: Table, which: int) -> None:
    """Forget an offer that waits for its impression."""
    pending, slates = customer["pending"], customer["slates"]
    first = 0
    for at in range(which):
        first += pending[at]["count"]
    end = first + pending[which]["count"]
    customer["n_slates"] = cut(slates, customer["n_slates"], first, end)
    customer["n_pending"] = cut(pending, customer["n_pending"], which, which + 1)


@kernel
def _label(customer: Table, exposure: Table, time: int, label: int, examples: Table) -> None:
    """Write a `Labelled`: of the time of the exposure itself, or of its purchase."""
    put_head(examples, 5, LABELLED)
    put_number(examples, time)
    put_byte(examples, label)
    put_optional(examples, segment_of(exposure, customer["segment"]), NEVER)
    put_bytes(examples, exposure["features"].view(MARK))
    put_number(examples, time - exposure["time"])


@kernel
def segment_of(exposure: Table, likely: int) -> int:
    """The segment that a customer was of when an exposure was described; `NEVER` for none.

    Both labels of an exposure must name the same: else one segment takes back what another learned.

    Parameters
    ----------
    exposure : EXPOSURE
    likely
        The segment of now, which is looked at first.
    """
    told = exposure["features"][SEGMENT]
    if told == OF_NONE[SEGMENT]:
        return NEVER
    if likely >= 0 and told == hash_number(BEGUN[SEGMENT], likely):
        return likely
    for segment in range(SEGMENTS):
        if told == hash_number(BEGUN[SEGMENT], segment):
            return segment
    return NEVER

"""A customer's record one event further: the stages that every event passes, as kernels.

Each takes a record as bytes, which it leaves as they are, and lays a new one on the `Tables`, which
are handed over as a plain tuple: numba takes that apart in half the time.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

import numpy as np

from stream.decide.rows import delivery, history, labels, lessons, profile
from stream.decide.rows.admission import IS_APPLIED, IS_DUPLICATE, IS_LATE, admit
from stream.decide.rows.arriving import DISMISS, IMPRESSION, Arrival, arrived
from stream.decide.rows.features import portrait
from stream.decide.rows.layout import (
    HEAD,
    MARK,
    NEVER,
    SIZE,
    TIME,
    Table,
    Tables,
    pack,
    unpack,
)
from stream.decide.rows.messagepack import begin
from stream.models.base.kernel import kernel

PlainTables: TypeAlias = tuple[Table, Table, Table, Table]
FORGOTTEN, JUDGED, PROFILED = 0, 1, 2  # how far an event goes
_AT: Final = {name: place[1] // 8 for name, place in (HEAD.fields or {}).items()}
FIRST_LEARNED: Final = _AT["first_seen"]  # words of the head that hold what was learned
BEHIND_LEARNED: Final = _AT["n_clicks"]


@kernel
def advance(
    record: Any, event: Any, how_far: int, rules: Table, tables: PlainTables
) -> tuple[int, bool]:
    """Take an event through admission, labels, profile and history.

    Parameters
    ----------
    record, event : bytes
        See :mod:`stream.decide.rows.layout` and :mod:`stream.decide.rows.arriving`.
    how_far
        `FORGOTTEN`: to admission, and what was learned is forgotten; `JUDGED`: to admission;
        `PROFILED`: through all.
    rules : RULES (1,)
    tables
        On which the new record, what it teaches, and the portrait at a turning point are laid.

    Returns
    -------
    outcome
        A place in `ADMITTED`; with a duplicate and a late event nothing is laid there.
    turning
        Whether the customer's segment is to be found anew: then :func:`turn` teaches the rest, and
        lays the new record there.
    """
    laid = Tables(*tables)
    unpack(np.frombuffer(record, MARK), laid.rows)
    return taken(arrived(event), how_far, rules[0], laid)


@kernel
def taken(arrival: Arrival, how_far: int, rules: Table, laid: Tables) -> tuple[int, bool]:
    """As `advance`, of a record that is laid out; ``rules`` is a `RULES`."""
    customer, happened, examples = laid.rows[0], arrival.event[0], laid.lessons[0]
    begin(examples)
    outcome, turning = admit(customer, happened, rules), False
    if outcome in (IS_DUPLICATE, IS_LATE):
        return outcome, turning
    customer["stamps"][happened["source"]] = happened["offset"]
    if outcome == IS_APPLIED and how_far == FORGOTTEN:
        _forget(laid.rows)
    if outcome == IS_APPLIED and how_far == PROFILED:
        labels.join(customer, arrival, rules, examples)
        profile.fold(customer, arrival, rules)
        history.follow(customer, arrival, rules)
        if IMPRESSION <= happened["kind"] <= DISMISS:
            delivery.respond(customer, arrival)
        turning = lessons.is_turning_point(customer, happened["kind"])
        if turning:
            portrait(customer, happened["now"], laid.point)
            return outcome, turning
        if rules["learning"]:
            lessons.teach(customer, arrival, examples)
    pack(laid.rows, laid.packed[0])
    return outcome, turning


@kernel
def browse(record: Any, event: Any, rules: Table, tables: PlainTables) -> None:
    """Take a click into the history alone, and teach its step: for logs of sessions."""
    laid = Tables(*tables)
    arrival, customer, examples = arrived(event), laid.rows[0], laid.lessons[0]
    unpack(np.frombuffer(record, MARK), laid.rows)
    begin(examples)
    history.follow(customer, arrival, rules[0])
    lessons.teach(customer, arrival, examples)
    pack(laid.rows, laid.packed[0])


@kernel
def turn(event: Any, segment: int, rules: Table, tables: PlainTables) -> None:
    """Have a customer, who is laid out, be in a segment, and teach the rest of an event."""
    laid = Tables(*tables)
    customer = laid.rows[0]
    customer["segment"] = segment
    if rules[0]["learning"]:
        lessons.teach(customer, arrived(event), laid.lessons[0])
    pack(laid.rows, laid.packed[0])


@kernel
def look(record: Any, now: int, rules: Table, tables: PlainTables) -> None:
    """Drop what waited long enough of a customer who is not here, and say when more is due.

    Parameters
    ----------
    record : bytes
    now
        Stream time in ms.
    rules : RULES (1,)
    tables
        On which the new record is laid; nothing is taught.
    """
    laid = Tables(*tables)
    unpack(np.frombuffer(record, MARK), laid.rows)
    customer = laid.rows[0]
    begin(laid.lessons[0])
    labels.mature(customer, now, rules[0])
    due = 0
    for at in range(customer["n_exposures"]):
        time = customer["exposures"][at]["time"]
        if not due or time < due:
            due = time
    customer["due"] = due
    pack(laid.rows, laid.packed[0])


@kernel
def unprofile(record: Any, tables: PlainTables) -> None:
    """Lay out the record of a customer who may not be profiled: nothing that was learned is left.

    What caps go by stays for its day: they protect the customer, whose saying no and then yes
    again must not let them be passed.
    """
    laid = Tables(*tables)
    unpack(np.frombuffer(record, MARK), laid.rows)
    _forget(laid.rows)
    pack(laid.rows, laid.packed[0])


@kernel
def offered(record: Any, offer: Any, features: Table, remembers: bool, tables: PlainTables) -> None:
    """Lay out the record of a customer to whom an offer was made.

    Parameters
    ----------
    record : bytes
    offer : bytes
        As `delivery.put` reads it.
    features : uint32 (items, features)
    remembers
        Whether its impression is waited for.
    tables
    """
    laid = Tables(*tables)
    arrival, customer = arrived(offer), laid.rows[0]
    unpack(np.frombuffer(record, MARK), laid.rows)
    if remembers:
        labels.remember(customer, arrival, features)
    delivery.put(customer, arrival)
    customer["offers_made"] += 1
    customer["last_offer"] = arrival.event[0]["time"]
    pack(laid.rows, laid.packed[0])


@kernel
def recall(record: Any, which: Any, tables: PlainTables) -> None:
    """Lay out the record of a customer of whose offers some are recalled.

    Parameters
    ----------
    record : bytes
    which : bytes
        Of each offer that was made, 1 if it is recalled, else 0.
    tables
    """
    laid = Tables(*tables)
    unpack(np.frombuffer(record, MARK), laid.rows)
    delivery.close(laid.rows[0], np.frombuffer(which, MARK))
    pack(laid.rows, laid.packed[0])


@kernel
def is_too_soon(last: int, now: int, gap: float) -> bool:
    """Whether an offer at ``now`` follows too soon upon the last, 0 for none; all in ms."""
    return bool(last and now - last < gap)


@kernel
def _forget(rows: Table) -> None:
    """Leave nothing in a record of what a customer did, but what caps go by."""
    customer = rows[0]
    labels.forget(customer)
    delivery.end_trials(customer)
    rows.view(MARK)[:SIZE].view(TIME)[FIRST_LEARNED:BEHIND_LEARNED] = 0
    customer["segment"] = NEVER
    customer["n_recent"] = 0
    customer["n_bought"] = 0
    customer["n_tastes"] = 0
    customer["n_spent"] = 0
    customer["n_traits"] = 0
    customer["n_cooled"] = 0
    customer["timer"] = 0

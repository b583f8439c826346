"""The track of a run: events one behind the other, taken through the kernels in one call.

Rules:

- The kernel goes on for as long as events ask for nothing but kernels. It stops at the first that
  asks for a rule (an offer may be due or to be recalled, a segment is to be found, somebody waits
  to be looked at), which it leaves on the `Tables`, and before one that is none of its business:
  one that was applied before, is from before an erasure, or finds an offer whose campaign is over.
- Records and what events teach lie on a tape, one behind the other. A record that changes is laid
  anew behind all others, and the customer's slot says where.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from stream.decide.rows.admission import IS_APPLIED, IS_DUPLICATE, IS_LATE
from stream.decide.rows.advance import (
    FORGOTTEN,
    JUDGED,
    PROFILED,
    PlainTables,
    is_too_soon,
    taken,
)
from stream.decide.rows.arriving import (
    CART,
    DISMISS,
    IMPRESSION,
    ORDER,
    REFUND,
    VIEW,
    laid_out,
    own_text,
)
from stream.decide.rows.delivery import place_of
from stream.decide.rows.layout import LETTERS, MARK, NEVER, NOBODY, Bytes, Table, Tables, unpack
from stream.models.base.kernel import kernel

EVENTS: Final = 256  # of a run at most
TAPE: Final = 4 * LETTERS  # bytes of records that a run may begin with; as many are added
NO_DENIAL, BY_CONSENT, BY_GAP = range(3)
AT_END, ALONE, FULL, STOPPED, TURNING = range(5)  # why a run stops

STEP: Final = np.dtype(
    [
        ("start", "<i8"),  # of the event among the events' bytes
        ("size", "<i8"),
        ("slot", "<i8"),
        ("outcome", "<i8"),  # a place in `ADMITTED`
        ("denial", "<i8"),
        ("due", "<i8"),  # when the customer is to be looked at, ms; 0 if as before, or never
        ("examples", "<i8"),  # how many the event taught
        ("taught", "<i8"),  # where on the tape they are
        ("length", "<i8"),
        ("unknown", "<i8"),  # whether it is about an offer that is none of the customer's
    ]
)
SLOT: Final = np.dtype(
    [
        ("start", "<i8"),  # of the customer's record on the tape
        ("size", "<i8"),
        ("profiled", "<i8"),  # whether the customer may be
        ("since", "<i8"),  # the time in ms from which on may be learned
        ("open", "<i8"),  # whether offers may be made
        ("ends", "<i8"),  # when the campaign of an open offer does, ms; `LARGEST` if none will
    ]
)
CLOCK: Final = np.dtype(
    [
        ("stream_time", "<i8"),  # ms
        ("next_look", "<i8"),  # since when the first of those who wait does, ms
        ("end", "<i8"),  # of what is on the tape
    ]
)


class Track(NamedTuple):
    """Where a run is laid out.

    Attributes
    ----------
    tape : uint8 (n,)
    steps : STEP (events,)
    slots : SLOT (customers,)
    clock : CLOCK (1,)
    """

    tape: Bytes
    steps: Table
    slots: Table
    clock: Table


PlainTrack: TypeAlias = tuple[Bytes, Table, Table, Table]


def track() -> Track:
    """A new one: 8 MB, of which the system gives what is touched."""
    tape = np.empty(2 * TAPE, MARK)
    return Track(tape, np.zeros(EVENTS, STEP), np.zeros(EVENTS, SLOT), np.zeros(1, CLOCK))


@kernel
def run_on(
    events: Any, first: int, end: int, track: PlainTrack, rules: Table, tables: PlainTables
) -> tuple[int, int]:
    """Take events of a run, from the step ``first`` to before ``end``.

    Parameters
    ----------
    events : bytes
        All of them, packed (see :mod:`stream.decide.rows.arriving`); their ``now`` is told here.
    first, end
    track, tables
        As plain tuples: of a `Track` and of `Tables`.
    rules : RULES (1,)

    Returns
    -------
    at
        The step at which it stopped.
    why
        `AT_END`; `ALONE` or `FULL`, and it is not begun; `STOPPED`, and its record and what it
        teaches are on the tables; `TURNING`, and its segment is to be found first, too.
    """
    here, laid = Track(*track), Tables(*tables)
    packed, clock, rule = np.frombuffer(events, MARK), here.clock[0], rules[0]
    customer = laid.rows[0]
    for at in range(first, end):
        step = here.steps[at]
        slot = here.slots[step["slot"]]
        if clock["end"] + 2 * LETTERS > len(here.tape):
            return at, FULL
        unpack(here.tape[slot["start"] : slot["start"] + slot["size"]], laid.rows)
        arrival = laid_out(packed[step["start"] : step["start"] + step["size"]])
        happened, due = arrival.event[0], customer["due"]
        time = happened["time"]
        how_far = _how_far(slot, time)
        waits = customer["page"] != NEVER or customer["timer"] != 0
        if time <= customer["erased"] or (how_far == FORGOTTEN and waits):
            return at, ALONE
        if max(time, clock["stream_time"]) >= slot["ends"]:
            return at, ALONE
        if happened["offset"] <= customer["stamps"][happened["source"]]:
            return at, ALONE
        happened["now"] = max(time, clock["stream_time"])
        outcome, turning = taken(arrival, how_far, rule, laid)
        step["outcome"] = outcome
        if outcome in (IS_DUPLICATE, IS_LATE):
            continue
        if turning:
            return at, TURNING
        if outcome == IS_APPLIED:
            kind = happened["kind"]
            if kind == ORDER and customer["open_until"] > happened["now"]:
                return at, STOPPED
            if IMPRESSION <= kind <= DISMISS:
                step["unknown"] = place_of(customer, own_text(arrival)) == NOBODY
            step["denial"] = _denial(happened, how_far, slot, customer["last_offer"], rule)
            if step["denial"] == NEVER:
                return at, STOPPED
            if happened["now"] - rule["patience"] >= clock["next_look"]:
                return at, STOPPED
            clock["stream_time"] = happened["now"]
        if customer["due"] != due:
            step["due"] = customer["due"]
            if step["due"] and step["due"] < clock["next_look"]:
                clock["next_look"] = step["due"]
        _lay(here, laid, step, slot)
    return end, AT_END


@kernel
def _how_far(slot: Table, time: int) -> int:
    if not slot["profiled"]:
        return FORGOTTEN
    return PROFILED if time >= slot["since"] else JUDGED


@kernel
def _denial(event: Table, how_far: int, slot: Table, last_offer: int, rules: Table) -> int:
    """Why there is no offer, as far as kernels know; `NEVER` if rules are to be asked."""
    kind = event["kind"]
    if kind != VIEW and kind != CART and kind != ORDER and kind != REFUND:
        return NO_DENIAL
    if how_far != PROFILED or not slot["open"]:
        return BY_CONSENT
    if is_too_soon(last_offer, event["now"], rules["offer_gap"]):
        return BY_GAP
    return NEVER


@kernel
def _lay(here: Track, laid: Tables, step: Table, slot: Table) -> None:
    """Lay a record, and what an event taught, from the tables on the tape."""
    clock, record, taught = here.clock[0], laid.packed[0], laid.lessons[0]
    start, size = clock["end"], record["size"]
    here.tape[start : start + size] = record["bytes"][:size]
    slot["start"], slot["size"] = start, size
    start += size
    size = taught["size"]
    here.tape[start : start + size] = taught["bytes"][:size]
    step["examples"], step["taught"], step["length"] = taught["count"], start, size
    clock["end"] = start + size

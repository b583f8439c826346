"""Whether an event may change a customer's record at all.

Rules, in this order: an event whose id was seen lately is a duplicate; one older than stream
time by more than the grace is late; one beyond a person's pace is suppressed (a token bucket,
filled by stream time, so that a replay decides the same).
"""

from __future__ import annotations

from enum import StrEnum

from stream.config import CoreSettings
from stream.core.event import Event
from stream.core.hashing import identity
from stream.core.offer import Cause
from stream.core.state import Admission


class Outcome(StrEnum):
    """What became of a record: every record that came in has exactly one."""

    APPLIED = "applied"
    DUPLICATE = "duplicate"
    LATE = "late"
    SUPPRESSED = "suppressed"
    REJECTED = "rejected"
    REPLAYED = "replayed"


# Names of their own: Python 3.11 finds a member of an enumeration by way of a descriptor, which is
# slow where it is asked for with every event.
APPLIED, DUPLICATE, LATE, SUPPRESSED, REJECTED, REPLAYED = Outcome


def admit(
    admission: Admission, event: Event, cause: Cause, settings: CoreSettings
) -> tuple[Outcome, Admission]:
    """Judge an event; the admission that comes back remembers it unless it changes nothing."""
    event_id, seen, now = identity(event.event_id), admission.seen, cause.stream_time
    if event_id in seen:
        return DUPLICATE, admission
    if event.time < now - settings.grace * 1000:
        return LATE, admission
    if event.time > now:
        now = event.time
    tokens = _filled(admission, now, settings)
    seen = (*seen[-settings.seen_ids + 1 :], event_id)
    if tokens < 1.0:
        return SUPPRESSED, Admission(seen, 0.0, now)
    return APPLIED, Admission(seen, tokens - 1.0, now)


def _filled(admission: Admission, now: int, settings: CoreSettings) -> float:
    policy = settings.policy
    burst = float(policy.events_burst)
    if not admission.filled:
        return burst
    tokens = admission.tokens
    if now > admission.filled:
        tokens += (now - admission.filled) / 1000 * policy.events_per_second
    return tokens if tokens < burst else burst

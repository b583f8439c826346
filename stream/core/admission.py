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


def admit(
    admission: Admission, event: Event, cause: Cause, settings: CoreSettings
) -> tuple[Outcome, Admission]:
    """Judge an event; the admission that comes back remembers it unless it changes nothing."""
    event_id = identity(event.event_id)
    if event_id in admission.seen:
        return Outcome.DUPLICATE, admission
    if event.time < cause.stream_time - settings.grace * 1000:
        return Outcome.LATE, admission
    now = max(cause.stream_time, event.time)
    tokens = _filled(admission, now, settings)
    outcome = Outcome.APPLIED if tokens >= 1.0 else Outcome.SUPPRESSED
    seen = (*admission.seen[-settings.seen_ids + 1 :], event_id)
    return outcome, Admission(seen, max(tokens - 1.0, 0.0), now)


def _filled(admission: Admission, now: int, settings: CoreSettings) -> float:
    burst = float(settings.policy.events_burst)
    if not admission.filled:
        return burst
    gained = max(now - admission.filled, 0) / 1000 * settings.policy.events_per_second
    return min(admission.tokens + gained, burst)

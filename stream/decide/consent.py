"""Permission: what the customer said and when, and what is forgotten when it is withdrawn.

Rules:

- Permission depends on what was said, not on the order in which it arrives. For each purpose the
  newest word counts, and of two of the same time the no. Nothing from at or before an erasure
  counts; but where silence is a yes, a no does, or the erasure would turn it into a yes.
- A no is heard in every record, an erasure too: late ones, duplicates, floods, refused ones. A yes
  is heard in every event that is not late.
- What is learned is from a time when that was allowed: not before the first yes since the last no.
- A no to profiling, and an erasure, forget at once what was learned: all of it, since a profile
  does not tell what of it is older.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from stream.config import CoreSettings
from stream.decide.policy import may_offer, may_profile
from stream.decide.rows.advance import unprofile
from stream.decide.rows.layout import NEVER
from stream.decide.rows.record import (
    Desk,
    begun,
    effects_of,
    front,
    permission_of,
    sealed,
    with_permission,
)
from stream.decide.rows.state import Permission
from stream.domain.chance import digest
from stream.domain.event import Consent, CustomerUpdate, Event, Source, Word


class Stance(NamedTuple):
    """What may be done with a customer.

    Events from ``since`` on, in ms, may be learned from where ``profiled``; ``open`` is whether
    offers may be made.
    """

    profiled: bool
    since: int
    open: bool


SILENCE = Permission()
UNSTAMPED = (NEVER,) * len(Source)
GONE = "\0gone-"  # no customer's id has a NUL


def word_of(event: Event) -> Word | None:
    """What an event says of permission; None for most."""
    said = event.consent
    erase = isinstance(event, CustomerUpdate) and event.erase
    if said is None and not erase:
        return None
    return Word(event.customer_id, event.time, erase, said)


def hear(
    record: bytes, word: Word, stream_time: int, settings: CoreSettings, desk: Desk
) -> bytes | None:
    """Take over a word; None if it erases all there is, the same object if it changes nothing.

    Parameters
    ----------
    record
        What is kept of the customer, or was kept before it was erased.
    word
        Its time is a time, not 0.
    stream_time
        Of the partition, before the record that says it; in ms.
    settings
        For the grace, and for what silence means.
    desk
        For what is forgotten.
    """
    first = front(record)
    stamps, erased, permission = first[:4], first.erased, first.permission
    erases = word.erase and word.time > erased
    if erases:
        erased, permission = word.time, _after(permission, word.time, settings)
    said = _audible(stamps, erased, word, stream_time, settings)
    after = permission if said is None else _said(permission, said, word.time)
    if erases:
        return None if after == SILENCE else begun(stamps, after, erased)
    if after == permission:
        return record
    changed = with_permission(record, after)
    return changed if after.profiling_no == permission.profiling_no else forget(changed, desk)


def forget(record: bytes, desk: Desk) -> bytes:
    """The record of a customer who may not be profiled: nothing that was learned is left."""
    size = front(record).size
    unprofile(record, desk.tables)
    forgotten = desk.record()
    if size == len(record):
        return forgotten
    return sealed(forgotten, len(forgotten), effects_of(record, size))


@lru_cache(maxsize=1 << 14)
def stance_of(said: bytes, default: bool) -> Stance:
    """What the words of a customer come to, as they stand in the record.

    Learned is from the first yes on since the last no or erasure; where silence is a yes and nobody
    said no, from all.
    """
    permission = permission_of(said)
    since = NEVER if default and not permission.profiling_no else permission.profiling_since
    return Stance(may_profile(permission, default), since, may_offer(permission, default))


def closed(time: int) -> bytes:
    """What stands in for a record that was lost: a no, and nothing up to ``time`` (ms) counts.

    For the trace of an erasure it does, too: what is older brings nobody back.
    """
    time = max(time, 1)
    return begun(UNSTAMPED, Permission(profiling_no=time, offers_no=time), time)


def trace_of(customer_id: str, key: int) -> str:
    """The name under which an erasure is remembered: a keyed hash instead of the customer's id.

    >>> trace_of("anna", 7) == trace_of("anna", 7), "anna" in trace_of("anna", 7)
    (True, False)
    """
    return GONE + digest(key, "erased", customer_id, size=16).hex()


def _audible(
    stamps: tuple[int, ...], erased: int, word: Word, stream_time: int, settings: CoreSettings
) -> Consent | None:
    """What of a word counts."""
    said, default = word.consent, settings.policy.consent_default
    if said is None:
        return None
    if word.time <= erased:
        return _refusals(said) if default else None
    if word.time < stream_time - settings.grace * 1000:
        if stamps == UNSTAMPED and not default:
            return None  # nobody is on file, silence is a no, and no older yes is heard any more
        return _refusals(said)
    return said


def _refusals(said: Consent) -> Consent:
    return Consent(said.profiling and None, said.offers and None)


def _after(permission: Permission, time: int, settings: CoreSettings) -> Permission:
    """What is left of it after an erasure at a time."""
    forgotten = 0 if settings.policy.consent_default else time
    yes = _newer(permission.profiling_yes, time)
    no = _newer(permission.profiling_no, forgotten)
    return Permission(
        profiling_yes=yes,
        profiling_no=no,
        offers_yes=_newer(permission.offers_yes, time),
        offers_no=_newer(permission.offers_no, forgotten),
        profiling_since=_since(permission.profiling_since, yes, max(time, no)),
    )


def _newer(said: int, time: int) -> int:
    return said if said > time else 0


def _said(known: Permission, said: Consent, time: int) -> Permission:
    yes = _max(known.profiling_yes, time, said.profiling is True)
    no = _max(known.profiling_no, time, said.profiling is False)
    since = _since(known.profiling_since, yes, no)
    if said.profiling is True and no < time < since:
        since = time
    return Permission(
        profiling_yes=yes,
        profiling_no=no,
        offers_yes=_max(known.offers_yes, time, said.offers is True),
        offers_no=_max(known.offers_no, time, said.offers is False),
        profiling_since=since,
    )


def _since(known: int, yes: int, end: int) -> int:
    """The first yes after a no or an erasure: the one that is known, or else the newest."""
    if yes <= end:
        return 0
    return known if known > end else yes


def _max(known: int, time: int, is_said: bool) -> int:
    return time if is_said and time > known else known

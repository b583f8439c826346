"""What must agree before a partition is read: pure comparisons of what is kept with what is found.

| Pair | Agrees | Else |
|---|---|---|
| topic and ledger | the topic still holds the record at the ledger's stamp | refuse |
| ledger and commit | all before the commit is accounted for | the ledger's stamp decides; refuse \
where the input between is gone |
| changelog and store | the changelog holds what the store was filled from, in the same life of \
the same topic | refuse |
| changelog's memory and store | the changelog keeps all deletions that the store lacks | fill it \
from the start |
| snapshot and logs | it has learned no more than was written | refuse it; a place in the log of \
examples beyond its end is set to the end |

Rules: nothing is counted away. A change is refused in one line that names the pair, what was found
and the way out; what retention removed unread is counted, and reading goes on behind it.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import NamedTuple

from stream.broker.records import Record, Unreadable
from stream.decide.ledger import Identity
from stream.domain.stamps import EPOCH, next_place
from stream.worker.faust.origin import StoreOrigin

RENEW = "restore it, or say what it holds now with `offerstream topics renew {topic}`"
ANEW = "restore it from a copy, or begin anew with another app_id"


class Print(NamedTuple):
    """A record's fingerprint, and where it stands."""

    offset: int
    timestamp: int
    checksum: int


class FoundPartition(NamedTuple):
    """A partition as the broker has it: from ``start`` to before ``end``.

    ``print`` is of the first record at or behind the place that was asked for; None without one.
    """

    topic_id: str
    start: int
    end: int
    print: Print | None = None


class GoOn(NamedTuple):
    """Read from ``at`` on; ``lost`` records were removed unread; ``note`` says what is odd."""

    at: int
    lost: int = 0
    note: str = ""


class Refuse(NamedTuple):
    """Do not read: ``line`` says what does not agree, and the way out."""

    line: str


def print_of(record: Record) -> Print | None:
    """A record's fingerprint; None of bytes that make no record."""
    if isinstance(record, Unreadable):
        return None
    checksum = zlib.crc32(record.value or b"", zlib.crc32(record.key or b""))
    return Print(record.offset, record.timestamp, checksum)


def topic_and_ledger(
    where: str, stamp: int, kept: Identity, found: FoundPartition
) -> Refuse | None:
    """Whether a partition is still what its ledger accounted for; ``where`` names it.

    >>> known = Identity("A", 5, 77)
    >>> topic_and_ledger("clicks-0", 9, known, FoundPartition("A", 0, 10, Print(9, 5, 77)))
    >>> topic_and_ledger("clicks-0", 9, known, FoundPartition("A", 30, 40)) is None  # retention
    True
    >>> topic_and_ledger("clicks-0", 9, known, FoundPartition("B", 0, 0)).line[:38]
    'topic clicks was deleted and made anew'
    """
    _, wanted = next_place(stamp)
    if not wanted:
        return None
    topic, _, number = where.rpartition("-")
    way = RENEW.format(topic=topic)
    known = f"partition {number} is accounted for to offset {wanted - 1}"
    if kept.topic_id and found.topic_id and kept.topic_id != found.topic_id:
        return Refuse(
            f"topic {topic} was deleted and made anew: {known} of {kept.topic_id}, and the topic "
            f"is {found.topic_id} now, from {found.start} to {found.end}; {way}"
        )
    if found.end < wanted:
        return Refuse(f"topic {topic} lost its end: {known}, and ends before {found.end}; {way}")
    seen = found.print
    if kept.checksum is None or seen is None or seen.offset != wanted - 1:
        return None  # nothing to compare, or retention removed it
    if (seen.timestamp, seen.checksum) == (kept.timestamp, kept.checksum):
        return None
    return Refuse(
        f"topic {topic} holds other records than before: {known}, and another record stands "
        f"there now; {way}"
    )


def ledger_and_commit(
    where: str, stamp: int | None, safe: int, commit: int | None, found: FoundPartition
) -> GoOn | Refuse:
    """Where to go on in a partition; ``stamp`` is None where there is no ledger.

    >>> ledger_and_commit("clicks-0", 9, 7, 8, FoundPartition("", 0, 20))
    GoOn(at=8, lost=0, note='')
    >>> ledger_and_commit("clicks-0", 9, 7, None, FoundPartition("", 15, 20))
    GoOn(at=15, lost=5, note='')
    >>> ledger_and_commit("clicks-0", 9, 7, 15, FoundPartition("", 0, 20)).at
    10
    """
    if stamp is None:
        return _without_ledger(where, commit, found)
    epoch, wanted = next_place(stamp)
    if commit is None:
        of_safe, at = next_place(safe)
        commit = min(at, wanted) if of_safe == epoch else 0
    lost = max(found.start - wanted, 0)
    if commit <= wanted:
        return GoOn(max(commit, found.start), lost)
    behind = f"the customers' state of {where} reaches offset {wanted}, and {commit} is committed"
    if lost and wanted:
        return Refuse(
            f"{behind}: the changelog lost its end, and the topic what lies between; {ANEW}"
        )
    return GoOn(max(wanted, found.start), lost, f"{behind}: it is read again from {wanted} on")


def _without_ledger(where: str, commit: int | None, found: FoundPartition) -> GoOn | Refuse:
    if not commit:
        return GoOn(found.start)
    behind = f"the customers' changelog knows nothing of {where}, and {commit} is committed"
    if found.start:
        return Refuse(
            f"{behind}: the changelog was lost or made anew, and the topic begins at offset "
            f"{found.start} only; {ANEW}"
        )
    return GoOn(0, 0, f"{behind}: all of it is read again")


def log_and_commit(where: str, commit: int | None, found: FoundPartition) -> GoOn:
    """Where to go on in a log that has no ledger, as that of the examples has none."""
    if commit is None:
        return GoOn(found.start)
    if commit > found.end:
        note = f"{where} ends before {found.end}, and {commit} is committed: it was made anew"
        return GoOn(found.start, 0, note)
    return GoOn(max(commit, found.start), max(found.start - commit, 0))


def changelog_and_store(
    where: str, stored: int | None, same: bool, found: FoundPartition, place: str
) -> Refuse | None:
    """Whether a store may be filled up from a changelog.

    ``stored`` is the last offset that the store holds of it, None for an empty one; ``same`` says
    whether the record there is what the store has; ``place`` names the store.
    """
    holds = f"the store{place} holds {where} up to offset {stored}"
    way = f"restore the changelog, or delete the store{place} to go by what the changelog holds"
    if stored is not None and stored >= found.end:
        return Refuse(
            f"{holds}, and the changelog ends before {found.end}: it lost its end, or was made "
            f"anew; {way}"
        )
    if not same:
        return Refuse(f"{holds}, and the changelog has another record there; {way}")
    if found.start > (0 if stored is None else stored + 1):
        topic = where.rpartition("-")[0]
        return Refuse(
            f"topic {topic} begins at offset {found.start}: what customers' records stood before "
            f"is deleted; {ANEW}, and see that cleanup.policy is compact: `offerstream topics "
            "apply`"
        )
    return None


def changelog_and_origin(kept: StoreOrigin, found: StoreOrigin, place: str) -> Refuse | None:
    """Whether a store was filled from the changelog that there is; ``place`` names the store.

    >>> kept, found = StoreOrigin("a-changelog", "A", 0), StoreOrigin("b-changelog", "B", 0)
    >>> changelog_and_origin(kept, kept, " at /state")
    >>> changelog_and_origin(kept, found, " at /state").line[:58]
    'the store at /state holds a-changelog, and is to be filled'
    """
    if kept.topic != found.topic:
        return Refuse(
            f"the store{place} holds {kept.topic}, and is to be filled from {found.topic}: it is "
            "another app's; set data_dir to a directory of this app's own, or delete the store"
        )
    if not kept.is_of(found):
        return Refuse(
            f"the store{place} holds {kept.topic} of {kept.topic_id}, and the topic is "
            f"{found.topic_id} now: it was made anew, or is another cluster's; restore the "
            f"changelog, or delete the store{place} to go by what the changelog holds"
        )
    return None


def memory_and_origin(kept: StoreOrigin | None, found: StoreOrigin, lasting: int) -> str:
    """Why a store may lack what the changelog has forgotten; empty if it does not.

    ``lasting`` is how long the changelog keeps deletions, in ms.
    """
    if kept is None or (found.topic_id and not kept.topic_id):
        return "it does not say what it was filled from, as those of older releases"
    return kept.outdated(lasting)


def snapshot_and_logs(
    through: Mapping[str, int], ends: Mapping[str, int], epochs: Mapping[str, int], beyond: int = 0
) -> str:
    """Why models cannot have learned what they say; empty if they can.

    Parameters
    ----------
    through
        The mark of each source partition; see :mod:`stream.learn.places`.
    ends
        The next offset of each source partition that there is.
    epochs
        The epoch of those whose topic was made anew.
    beyond
        Stamps by which a lesson of what was never written may have misled them.

    >>> snapshot_and_logs({"0/0": 41}, {"0/0": 42}, {})
    ''
    >>> snapshot_and_logs({"0/0": 10**12}, {"0/0": 42}, {})
    'it has learned 0/0 through 1000000000000, where 42 is the end'
    """
    for name, stamp in through.items():
        end = ends.get(name)
        if end is None:
            return f"it has learned {name}, which is no partition of ours"
        if not -1 <= stamp < epochs.get(name, 0) * EPOCH + end + beyond:
            return f"it has learned {name} through {stamp}, where {end} is the end"
    return ""

"""What is kept of a partition beside its customers, and what a batch comes to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from stream.decide.campaigns.budgets import Claim
from stream.decide.fairness import Member
from stream.decide.rows.due import Ends, Page
from stream.decide.rows.layout import NEVER
from stream.decide.rows.state import Effect
from stream.domain.event import Event, Rejection, Source, Word
from stream.domain.offer import Offer
from stream.domain.value import Value

OFFER, EXAMPLES, RECALL, DECISION = range(4)
UNSTAMPED = (NEVER,) * len(Source)


class Identity(NamedTuple):
    """What the last record accounted for of a source was, by which it is known again.

    ``topic_id`` is the broker's name for this life of the topic, empty where there is none;
    ``checksum`` is None until a record is known. Up to ``safe``, a stamp, all effects are durable.
    """

    topic_id: str = ""
    timestamp: int = 0
    checksum: int | None = None
    safe: int = NEVER


class Owed(NamedTuple):
    """What a record caused for a customer in whose own record nobody would look for it.

    A recall of an offer of somebody of whom nothing is kept any more; or, where ``payload`` is
    empty, an offer that a timer began, which stands in the record of whom it is for.
    """

    source: int
    offset: int
    customer_id: str
    payload: bytes


class Ledger(NamedTuple):
    """What is kept of a partition beside its customers.

    ``stamps`` holds the last offset accounted for of each :class:`Source`; ``counts`` the records
    by outcome, offers and denials since the beginning; ``late`` and ``failed`` the (source, offset)
    pairs that go to the late topic and, for a bug of ours, to the dead letters, and are not yet
    known to be there. ``due`` says where the queue of due labels begins and ends. ``erased`` is the
    time in ms of the newest erasure that left a trace, 0 for none; ``traces`` is the queue of those
    that wait to be forgotten. ``identities`` say what the records at the stamps were. ``trace_key``
    is the seed in force when the first trace was left, with which all of them are named. ``owed``
    are the recalls that erasures caused, or that stood in the records that they took, and that are
    not yet known to be durable: there is no record any more that could hold them. It names those,
    too, to whom an offer was made with another's event. ``timer`` is when the first timer is due,
    in ms; 0 if none is set.
    """

    stamps: tuple[int, ...] = UNSTAMPED
    stream_time: int = 0
    counts: Mapping[str, int] = {}
    late: tuple[tuple[int, int], ...] = ()
    failed: tuple[tuple[int, int], ...] = ()
    due: Ends = Ends()
    erased: int = 0
    traces: Ends = Ends()
    identities: tuple[Identity, ...] = (Identity(),) * len(Source)
    trace_key: int | None = None
    owed: tuple[Owed, ...] = ()
    timer: int = 0


class Entry(Value, frozen=True):
    """One record of a batch: where it stood, and what its bytes said.

    ``offset`` is a stamp of :mod:`stream.domain.stamps`, as are all offsets in the core.
    ``content`` None is a valid record that there is no use for: it counts as suppressed. ``word``
    is what a record takes away beside its content: one that is no event, above all.
    """

    source: Source
    offset: int
    content: Event | Rejection | None
    word: Word | None = None


class UnreadableState(Exception):
    """What is kept of customers cannot be read: no record's fault, so none is set aside for it."""


@dataclass(slots=True)
class Decided:
    """What a batch comes to: records to write, effects to send in order, records to set aside.

    ``pages`` are those of queues and of timers that changed; an empty one is done with.
    ``effects`` go with their customer's id; ``rejected`` and ``late`` hold indices of entries,
    ``failed`` those that met a bug of ours, with the exception (None if it was met before a
    crash); ``tally`` counts what is new, and ``examples`` those among the effects that are;
    ``claims`` ask for more of campaigns' budgets; ``members`` are of groups that are compared.
    """

    ledger: Ledger
    changed: dict[str, bytes | None] = field(default_factory=dict)
    pages: Mapping[int, Page] = field(default_factory=dict)
    effects: list[tuple[str, Effect]] = field(default_factory=list)
    rejected: list[int] = field(default_factory=list)
    late: list[int] = field(default_factory=list)
    failed: list[tuple[int, Exception | None]] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    tally: Counter[str] = field(default_factory=Counter)
    examples: int = 0
    claims: list[Claim] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)

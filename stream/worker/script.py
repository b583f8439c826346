"""The protocol of a decided batch, as a value: what is done to the world, and in which order.

Rules: a script is a tuple of stages. The effects of one stage may be under way side by side; the
next stage begins when all of them are durable. The first stage of a batch begins as soon as the
batch is decided, in the order of the partition's batches, and the others when the script of the
batch before is through. Whoever executes a script adds nothing to it and leaves nothing out.

What offers were made from is durable before they are sent: it goes out beside the state.

State comes first: offers and examples are sent when the records that they were decided with are
durable, so that whoever decides again finds them there. The acknowledgement comes last: what it
covers is not delivered again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from stream.broker.records import Outgoing
from stream.config import Topics
from stream.worker.deadletters import letter
from stream.worker.faust.records import InFlight
from stream.worker.faust.store import Write
from stream.worker.partition import Flush


class Append(NamedTuple):
    """Append writes to the customers' changelog, in one record batch."""

    partition: int
    writes: Sequence[Write]


class Keep(NamedTuple):
    """Put the writes of a batch, durable by now, into the worker's own store."""

    flush: Flush
    writes: Sequence[Write]


class Send(NamedTuple):
    """Send records to a partition of an output topic."""

    topic: str
    partition: int
    records: Sequence[Outgoing]


class Settle(NamedTuple):
    """Take the effects of a batch for durable: what is written later need not hold them."""

    flush: Flush


class Acknowledge(NamedTuple):
    """Let the offsets of a delivery be committed."""

    delivery: InFlight


Effect: TypeAlias = Append | Keep | Send | Settle | Acknowledge
Script: TypeAlias = tuple[tuple[Effect, ...], ...]


def script(number: int, flush: Flush, delivery: InFlight | None, topics: Topics) -> Script:
    """The script of a decided batch of partition ``number``.

    Parameters
    ----------
    number
        The partition.
    flush
        What was decided.
    delivery
        What the batch is the last part of; None if more of it is to be decided.
    topics
        Where effects go.
    """
    writes = flush.writes
    evidence = Send(topics.evidence, number, [(k, v, None, ()) for k, v in flush.evidence])
    return (
        (Append(number, writes), evidence) if evidence.records else (Append(number, writes),),
        (Keep(flush, writes),),
        tuple(send for send in _sends(number, flush, topics) if send.records),
        (Settle(flush),),
        () if delivery is None else (Acknowledge(delivery),),
    )


def _sends(number: int, flush: Flush, topics: Topics) -> Iterator[Send]:
    yield Send(topics.offers, number, [(key, value, None, ()) for key, value in flush.offers])
    decisions = [(key, value, None, ()) for key, value in flush.decisions]
    yield Send(topics.decisions, number, decisions)
    yield Send(topics.examples, 0, [(None, lesson, None, ()) for lesson in flush.lessons])
    yield Send(topics.budgets, 0, [(None, claim, None, ()) for claim in flush.claims])
    yield Send(topics.late, number, [(r.key, r.value, r.timestamp, r.headers) for r in flush.late])
    letters = [letter(*refused) for refused in flush.rejected]
    letters += [letter(*failed, "decide") for failed in flush.failed]
    yield Send(topics.dead_letters, number, letters)

"""Dead letters as records to send, and what is said of a bug of ours."""

from __future__ import annotations

from traceback import format_tb

from mode import get_logger

from stream import __version__
from stream.broker.records import Outgoing, Record, Unreadable
from stream.codec.deadletters import FailedRecord as Buried
from stream.codec.deadletters import build_dead_letter
from stream.domain.event import Rejection, RejectionCode

logger = get_logger(__name__)
BUG = Rejection(RejectionCode.INTERNAL, "a bug of offerstream's; its log has the trace")


def bug_met(record: Record, stage: str, error: Exception) -> Rejection:
    """Log a bug of ours that a record met, and give the reason to bury it with.

    The log gets the error's type and trace, not its message: that may hold a person's data.
    """
    logger.error(
        "a bug: %s to %s %s-%d at %d, which becomes a dead letter\n%s",
        *(type(error).__name__, stage, record.topic, record.partition, record.offset),
        "".join(format_tb(error.__traceback__)).rstrip(),
    )
    return BUG


def letter(record: Record, rejection: Rejection, stage: str = "decode") -> Outgoing:
    """The dead letter of a refused record, with its burial as its timestamp."""
    cut = first = None
    if isinstance(record, Unreadable):
        stage, cut = "fetch", record.aside.cut
        first = record.aside.first if record.aside.first < record.offset else None
    original = Buried(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
        first,
    )
    built = build_dead_letter(original, rejection, stage=stage, version=__version__, cut=cut)
    return built.key, built.value, None, built.headers

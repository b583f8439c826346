"""Dead letters as records to send."""

from __future__ import annotations

from stream import __version__
from stream.codec.deadletters import Record as Buried
from stream.codec.deadletters import build_dead_letter
from stream.core.event import Rejection
from stream.runtime.batching.records import Outgoing, Record


def letter(record: Record, rejection: Rejection) -> Outgoing:
    """The dead letter of a refused record, with its burial as its timestamp."""
    original = Buried(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp,
        record.key,
        record.value,
        tuple(record.headers),
    )
    built = build_dead_letter(original, rejection, stage="decode", version=__version__)
    return built.key, built.value, None, built.headers

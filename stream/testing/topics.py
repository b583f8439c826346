"""What stands on the topics of a shop under test, as values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
import orjson
from msgspec.structs import replace

from stream.broker.local.frame import StoredRecord
from stream.broker.local.log import Log
from stream.client import offer as client
from stream.codec.deadletters import DeadLetter, restore
from stream.config import Settings


class Entry(NamedTuple):
    """A record of a topic; ``timestamp`` in ms, ``headers`` as pairs of name and bytes."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]

    @property
    def json(self) -> Any:
        """The value as JSON; raises ``ValueError`` where it is none."""
        return orjson.loads(self.value or b"")


class Refusal(NamedTuple):
    """A record that changed nothing because of what it is.

    Attributes
    ----------
    topic
        Which it was published to, without the prefix; ``late`` of a late event, whose record does
        not tell.
    code
        Why: a code of the dead letters such as ``schema`` or ``future_time``, or ``late``.
    message
        The same in words; it names a field and never holds a value.
    key, value, headers
        As they were published; the value of a record over 256 KiB is cut.
    """

    topic: str
    code: str
    message: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class Offer(client.Offer, frozen=True):
    """An offer that was made; ``raw`` are its bytes on the topic ``offers``.

    Beside the fields that `stream.client.Offer` has: ``trigger`` where no event of the customer's
    began it, ``incentive`` and ``set_aside`` where there is one, ``source`` for the record.
    """

    models: dict[str, int] = msgspec.field(default_factory=dict)
    source: dict[str, Any] = msgspec.field(default_factory=dict)
    trigger: dict[str, Any] | None = None
    incentive: dict[str, Any] | None = None
    set_aside: int | None = None
    raw: bytes = b""

    @property
    def products(self) -> list[str]:
        """The ids of its items, best first."""
        return [item.product_id for item in self.items]

    @property
    def json(self) -> dict[str, Any]:
        """The whole of it, as ``schemas/offers`` says."""
        said: dict[str, Any] = orjson.loads(self.raw)
        return said


class Learned(NamedTuple):
    """What was learned.

    Attributes
    ----------
    examples
        How many were learned by the models in use.
    versions
        Of each model in use, by its name.
    segments
        Their names, by number.
    """

    examples: int
    versions: dict[str, int]
    segments: tuple[str, ...]


_LATE: Final = "older than the partition's stream time by more than core.grace"
_decode: Final = msgspec.json.Decoder(Offer).decode


def read_offer(value: bytes) -> Offer:
    """The offer in a record's value."""
    return replace(_decode(value), raw=value)


class Reading:
    """Reads topics of a log on from where it stopped.

    What a worker says again, as it may after a crash, is read once: offers, recalls and refusals.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._at: dict[tuple[str, str, int], int] = {}
        self._made: dict[str, bytes] = {}
        self._recalled: set[str] = set()
        self._told: set[tuple[object, ...]] = set()

    def new(self, log: Log, kind: str, reader: str = "") -> Iterator[Entry]:
        """The records of a topic that this reader has not seen, partition by partition."""
        topic = getattr(self._settings.topics, kind)
        for number in range(log.partitions(topic) or 0):
            place = reader or kind, topic, number
            for record in _records(log, topic, number, self._at.get(place, 0)):
                self._at[place] = record.offset + 1
                yield Entry(
                    kind, number, record.offset, record.timestamp,
                    record.key, record.value, record.headers,
                )  # fmt: skip

    def offers(self, log: Log) -> Iterator[Offer]:
        """Offers that are new.

        Raises
        ------
        RuntimeError
            If an offer came again with other bytes, which no worker may do.
        """
        for entry in self.new(log, "offers", "of offers"):
            said = client.read_record(entry.key, entry.value)
            if not isinstance(said, client.Offer) or entry.value is None:
                continue
            before = self._made.setdefault(said.offer_id, entry.value)
            if before is entry.value:
                yield read_offer(entry.value)
            elif before != entry.value:
                raise RuntimeError(f"offer {said.offer_id} came twice, with different contents")

    def recalls(self, log: Log) -> Iterator[client.Recall]:
        """Recalls that are new."""
        for entry in self.new(log, "offers", "of recalls"):
            said = client.read_record(entry.key, entry.value)
            if isinstance(said, client.Recall) and said.offer_id not in self._recalled:
                self._recalled.add(said.offer_id)
                yield said

    def refusals(self, log: Log) -> Iterator[Refusal]:
        """Dead letters and late events that are new."""
        prefix = self._settings.topics.prefix
        for entry in self.new(log, "dead_letters", "of refusals"):
            told = restore(DeadLetter(entry.key, entry.value, entry.headers))
            record, why = told.record, told.rejection
            if not self._is_new(record.topic, record.partition, record.offset):
                continue
            yield Refusal(
                record.topic.removeprefix(prefix), why.code.value, why.detail,
                record.key, record.value, tuple(record.headers),
            )  # fmt: skip
        for entry in self.new(log, "late", "of refusals"):
            if self._is_new(entry.timestamp, entry.key, entry.value, entry.headers):
                yield Refusal("late", "late", _LATE, entry.key, entry.value, entry.headers)

    def _is_new(self, *mark: object) -> bool:
        """Whether this was not told before: after a crash a worker may say it again."""
        is_new = mark not in self._told
        self._told.add(mark)
        return is_new


def _records(log: Log, topic: str, number: int, start: int) -> Iterator[StoredRecord]:
    at = max(start, log.earliest(topic, number))
    while records := log.read(topic, number, at):
        yield from records
        at = records[-1].offset + 1

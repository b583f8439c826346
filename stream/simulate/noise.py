"""Bad input on request: what real producers send beside what they should.

Rules: a bad record follows the good one that it is made from, at the same time, so the order by
time holds; the good records all remain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from stream.simulate.draws import Draws
from stream.simulate.rhythm import DAY_MS
from stream.simulate.timeline import EVENTS, TimedRecord

_BOT_CLICKS = 120
Spoiler = Callable[[TimedRecord, Draws], TimedRecord]


def _again(record: TimedRecord, draws: Draws) -> TimedRecord:
    """A duplicate: the producer did not hear that the first one arrived."""
    return record


def _cut(record: TimedRecord, draws: Draws) -> TimedRecord:
    """A record that ends in the middle."""
    return record._replace(value=record.value[: 1 + draws.below(len(record.value) - 1)])


def _not_text(record: TimedRecord, draws: Draws) -> TimedRecord:
    """Bytes that are no UTF-8."""
    return record._replace(value=record.value[:8] + b"\xff\xfe" + record.value[8:])


def _without_field(record: TimedRecord, draws: Draws) -> TimedRecord:
    """A required field is missing."""
    value = orjson.loads(record.value)
    del value["timestamp"]
    return record._replace(value=orjson.dumps(value))


def _wrong_type(record: TimedRecord, draws: Draws) -> TimedRecord:
    """A field of the wrong type."""
    return _changed(record, draws, event_id=["not", "a", "text"])


def _late(record: TimedRecord, draws: Draws) -> TimedRecord:
    """An event that was on its way for days."""
    return _changed(
        record, draws, timestamp=record.time - round(DAY_MS * (2 + 3 * draws.uniform()))
    )


def _ahead(record: TimedRecord, draws: Draws) -> TimedRecord:
    """A clock that runs years fast."""
    return _changed(record, draws, timestamp=record.time + 3650 * DAY_MS)


def _wrong_key(record: TimedRecord, draws: Draws) -> TimedRecord:
    """A key that is not the customer."""
    return record._replace(key=b"nobody")


_SPOILERS: tuple[Spoiler, ...] = (
    _again,
    _again,
    _again,
    _cut,
    _not_text,
    _without_field,
    _wrong_type,
    _late,
    _late,
    _ahead,
    _wrong_key,
)


class Noise:
    """Adds about ``share`` of bad records: half of them singly, half in floods from bots."""

    def __init__(self, seed: int, share: float) -> None:
        self._draws = Draws(seed, "noise")
        self._single = share / 2
        self._flood = share / 2 / _BOT_CLICKS
        self._bots = 0

    def spoil(self, records: Iterable[TimedRecord]) -> list[TimedRecord]:
        """Return the records with bad ones among them, still in time order."""
        return [out for record in records for out in self._with_bad(record)]

    def _with_bad(self, record: TimedRecord) -> Iterator[TimedRecord]:
        yield record
        if record.topic not in EVENTS:
            return
        if self._draws.chance(self._single):
            yield _SPOILERS[self._draws.below(len(_SPOILERS))](record, self._draws)
        if record.topic == "clicks" and self._draws.chance(self._flood):
            yield from self._bot(record)

    def _bot(self, record: TimedRecord) -> Iterator[TimedRecord]:
        """A flood of clicks: valid each, but no human."""
        self._bots += 1
        bot = f"bot-{self._bots:04d}"
        click: dict[str, Any] = orjson.loads(record.value)
        for i in range(_BOT_CLICKS):
            click |= {"event_id": f"{bot}-{i}", "customer_id": bot, "session_id": bot}
            yield record._replace(key=bot.encode(), value=orjson.dumps(click))


def _changed(record: TimedRecord, draws: Draws, **fields: object) -> TimedRecord:
    value = orjson.loads(record.value) | {"event_id": f"bad-{draws.below(1 << 48):x}"} | fields
    return record._replace(value=orjson.dumps(value))

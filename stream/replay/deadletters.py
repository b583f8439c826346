"""The dead letters of a replay on a local log: which row each was, and what is wrong with it.

Rules: they are read when the engine has closed the log, which one process at a time may hold. A row
may have told of an item in the catalog, too: what was refused of that is not told a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from stream.broker.whole import read_topic
from stream.codec.deadletters import DeadLetter, restore
from stream.config import Settings
from stream.replay.plan import ReadingPlan
from stream.replay.replay import Replay
from stream.replay.resume import REPLAY_HEADER, ROW_HEADER

if TYPE_CHECKING:
    from stream.broker.records import Record


class DeadRow(NamedTuple):
    """An event of a replay that became a dead letter.

    ``row`` is the number of its row (of an order, its last), in ``file`` where several were read;
    ``reason`` and ``detail`` are the dead letter's; ``event`` is what was published.
    """

    row: int
    reason: str
    detail: str
    event: str
    file: str | None = None

    @property
    def field(self) -> str:
        """The field that is wrong, as a JSON pointer; empty if the whole record is."""
        first = self.detail.split(" ", 1)[0]
        return first.rstrip(":") if first.startswith("/") else ""


def dead_rows(settings: Settings, replay: Replay, plan: ReadingPlan) -> list[DeadRow]:
    """Read the dead letters of a replay, in the order of its rows."""
    found: list[tuple[int, DeadRow]] = []
    ours, several = replay.id.encode(), len(replay.sources) > 1

    def take(record: Record) -> None:
        letter = DeadLetter(record.key, record.value, tuple(record.headers))
        headers: Mapping[str, bytes | None] = dict(record.headers)
        position = headers.get(ROW_HEADER) or b""
        if headers.get(REPLAY_HEADER) != ours or not position.isdigit():
            return
        restored = restore(letter)
        if restored.record.topic == settings.topics.catalog:
            return  # of a row whose event is told
        rejection = restored.rejection
        file, row = replay.row_of(plan, int(position))
        event = (record.value or b"").decode(errors="backslashreplace")
        found.append(
            (
                int(position),
                DeadRow(row, rejection.code, rejection.detail, event, file if several else None),
            )
        )

    read_topic(settings, settings.topics.dead_letters, settings.partitions, take)
    found.sort()
    return [row for _, row in found]

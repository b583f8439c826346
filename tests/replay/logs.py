"""Small logs and what replay makes of them, for the tests beside."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import orjson

from stream.replay.mapping import Mapping
from stream.replay.mapping_file import parse_mapping
from stream.replay.outcome import PublishedRecord, RefusedRow
from stream.replay.replay import Account, Replay


class Replayed(NamedTuple):
    """All that came out of a log; ``events`` are the published values, without the catalog."""

    records: list[PublishedRecord]
    refused: list[RefusedRow]
    account: Account

    @property
    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(record.value) for record in self.records if record.rows]

    def column(self, field: str) -> list[Any]:
        """One field of every event."""
        return [event.get(field) for event in self.events]


def replayed(path: Path, mapping: Mapping | str, limit: int | None = None) -> Replayed:
    """Replay a file; a text is the TOML of a mapping."""
    if isinstance(mapping, str):
        mapping = parse_mapping(mapping, "test", "test.toml")
    replay = Replay(path, mapping, limit)
    outcomes = list(replay.outcomes(replay.plan()))
    return Replayed(
        [outcome for outcome in outcomes if isinstance(outcome, PublishedRecord)],
        [outcome for outcome in outcomes if isinstance(outcome, RefusedRow)],
        replay.account,
    )


def log(tmp_path: Path, content: str | bytes, name: str = "log.csv") -> Path:
    """Write a log."""
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path

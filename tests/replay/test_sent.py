"""A log of events as producers send them: each row on its topic, read as a live one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from stream.codec.events.decoding import Decoded
from stream.config import ConfigError
from stream.domain.event import Source
from stream.replay.mapping_file import load_mapping, parse_mapping
from stream.replay.outcome import PublishedRecord, RefusedRow
from stream.replay.replay import Replay
from tests.codec.producing import TIME, decoder, payload

MICROS = TIME * 1000
ITEMS = [{"item_id": "p1", "price": 9.5}]
SENT: list[dict[str, Any]] = [
    payload("purchases", event_id="e4", timestamp=str(TIME + 4)),
    payload("clicks", event_id="e1", timestamp="2024-05-01T09:30:00.251Z"),
    {"type": "track", "event": "Added Product", "messageId": "e2", "userId": "c1",
     "timestamp": TIME + 2, "properties": {"sku": 7}},
    {"event_name": "page_view", "event_timestamp": MICROS, "user_pseudo_id": "c1"},
    {"event_name": "view_item", "event_timestamp": MICROS + 3_000, "user_pseudo_id": "c1",
     "event_params": [{"key": "event_id", "value": {"string_value": "e3"}}], "items": ITEMS},
    {"specversion": "1.0", "id": "e5", "type": "shop.impression.v1",
     "time": "2024-05-01T09:30:00.255Z", "data": {"customer_id": "c1", "offer_id": "o"}},
    {"type": "identify", "messageId": "e6", "userId": "c1", "timestamp": TIME + 6,
     "traits": {"a": 1}},
    {"event_id": "e7", "timestamp": TIME + 7, "event": "view", "product_id": "p"},
    payload("clicks", event_id="e8", timestamp=TIME + 8, price="cheap"),
]  # fmt: skip


def outcomes(path: Path) -> list[PublishedRecord | RefusedRow]:
    replay = Replay(path, load_mapping("sent-events"))
    return list(replay.outcomes(replay.plan()))


def test_events_of_all_doors_are_read_in_time_order_each_on_its_topic(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(orjson.dumps(SENT))
    found = outcomes(path)
    records = [one for one in found if isinstance(one, PublishedRecord)]
    assert [(one.kind, one.time_ms - TIME) for one in records] == [
        ("clicks", 1), ("clicks", 2), ("clicks", 3), ("purchases", 4), ("feedback", 5),
        ("customers", 6), ("clicks", 8),
    ]  # fmt: skip
    refused = [one for one in found if isinstance(one, RefusedRow)]
    assert sorted(one.reason for one in refused) == ["no_customer", "nothing_to_learn"]
    judged = [
        decoder().decode(Source[one.kind.upper()], one.key, one.value, (), one.time_ms)
        for one in records
    ]
    events = [one.event.event_id for one in judged if isinstance(one, Decoded)]
    assert events == ["e1", "e2", "e3", "e4", "e5", "e6"]
    assert "/price" in str(judged[-1])


def test_a_table_is_no_log_of_events(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="is CSV, and mapping sent-events reads events"):
        outcomes(path)


def test_a_mapping_of_events_has_no_columns() -> None:
    with pytest.raises(ConfigError, match="columns are given"):
        parse_mapping('columns = {item = "a"}\nevents = {sent = true}', "m", "m.toml")
    with pytest.raises(ConfigError, match="sent is true"):
        parse_mapping('events = {sent = true, type = "view"}', "m", "m.toml")

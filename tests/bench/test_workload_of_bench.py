"""The benchmark's events: the same each time, valid, and a full decision on one in ten."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import orjson
import pytest

from bench.run import Run
from bench.told import OFFER_GAP_MS
from bench.workload import Shape, catalog, clicks, tellings
from stream.codec.events.decoding import Decoded, EventDecoder
from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.codec.schema import load_schemas
from stream.config import CoreSettings

SHAPE = Shape(20_000, customers=3_000, active=1_000, items=50)


def test_the_same_shape_gives_the_same_bytes() -> None:
    assert list(clicks(SHAPE)) == list(clicks(SHAPE))


def test_every_record_keeps_the_contract() -> None:
    schemas, settings = load_schemas(), CoreSettings()
    events, entries = EventDecoder(schemas, settings), ReferenceDecoder(schemas, settings)
    for key, value in clicks(Shape(500, customers=60, active=20)):
        assert isinstance(events.clicks(key, value, (), 1_800_000_000_000), Decoded)
    for key, value in catalog(Shape(1, items=200)):
        assert isinstance(entries.decode_catalog(key, value, ()), ReferenceEntry)


def test_under_the_gap_the_first_event_of_each_session_and_no_other_gets_an_offer() -> None:
    offered: dict[bytes, int] = {}
    offers = []
    for number, (key, value) in enumerate(clicks(SHAPE)):
        time = orjson.loads(value or b"")["timestamp"]
        if time - offered.get(key, -OFFER_GAP_MS) >= OFFER_GAP_MS:
            offered[key] = time
            offers.append(number)
    assert offers == [n for n, telling in enumerate(tellings(SHAPE)) if telling.first]
    settled = [number for number in offers if number >= SHAPE.active]
    assert len(settled) / (SHAPE.events - SHAPE.active) == pytest.approx(0.1, rel=0.05)


def test_what_is_told_again_is_told_shortly_before_and_nothing_else_changes() -> None:
    told = list(tellings(replace(SHAPE, repeats=50)))
    again = [n for n, telling in enumerate(told) if telling.again]
    assert len(again) == pytest.approx(len(told) / 51, abs=2)
    assert all(told[n].record in [t.record for t in told[n - 60 : n]] for n in again[2:])
    assert [t.record for t in told if not t.again] == list(clicks(SHAPE))


def test_times_never_go_back_and_a_session_has_its_events_in_order() -> None:
    times = [orjson.loads(value or b"")["timestamp"] for _, value in clicks(SHAPE)]
    assert times == sorted(times)
    sessions = Counter(orjson.loads(value or b"")["session_id"] for _, value in clicks(SHAPE))
    assert max(sessions.values()) == SHAPE.session


def test_older_events_have_ids_and_times_of_their_own() -> None:
    now = [orjson.loads(v or b"") for _, v in clicks(Shape(200, customers=60, active=20))]
    then = [orjson.loads(v or b"") for _, v in clicks(Shape(200, customers=60, active=20, age=7))]
    assert not {e["event_id"] for e in now} & {e["event_id"] for e in then}
    assert max(e["timestamp"] for e in then) < min(e["timestamp"] for e in now)


def test_customers_who_would_be_back_within_the_gap_are_refused() -> None:
    with pytest.raises(ValueError, match="three times as many"):
        Shape(10, customers=100, active=34)


def test_a_run_is_told_and_heard_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("127.0.0.1:9092", "bench-1.", 4, "whole", "/tmp/bench", 6067)
    monkeypatch.setattr("sys.argv", ["", run.tell()])
    assert Run.told() == run


def test_the_jobs_differ_in_the_gap_and_leave_every_event_open_to_an_offer() -> None:
    state = Run("127.0.0.1:9092", "b.", 4, "state", "/tmp/b", 1).settings()
    whole = Run("127.0.0.1:9092", "b.", 4, "whole", "/tmp/b", 1).settings()
    assert state.core.policy.offer_gap == 0
    assert whole.core.policy.offer_gap * 1000 == OFFER_GAP_MS
    for settings in (state, whole):
        policy = settings.core.policy
        assert (policy.consent_default, policy.holdout) == (True, 0)
        assert policy.quiet_from == policy.quiet_until
        assert settings.bootstrap_servers == ("127.0.0.1:9092",)
        assert settings.customers_changelog == "b-customers-changelog"

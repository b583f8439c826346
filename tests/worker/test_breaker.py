"""The breaker trips on bugs that go on, and on nothing else."""

from __future__ import annotations

import pytest

from stream.worker.breaker import Breaker, Tripped


class Clock:
    """Seconds that pass when told to."""

    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("stream.worker.breaker.monotonic", lambda: clock.now)
    return clock


def minutes_until_tripped(clock: Clock, records: int, bugs: int, every: float = 1.0) -> float:
    """For how long a worker with so many bugs a batch goes on; 60 if for an hour."""
    breaker, began = Breaker(), clock.now
    try:
        while clock.now < began + 3600:
            breaker.note(records, bugs)
            clock.now += every
    except Tripped as tripped:
        assert "a bug of offerstream's" in str(tripped)
    return (clock.now - began) / 60


def test_bugs_beyond_the_share_trip_it_after_a_minute(clock: Clock) -> None:
    assert minutes_until_tripped(clock, 100, 6) == 1
    assert minutes_until_tripped(clock, 1, 1) == 1


def test_bugs_within_the_share_never_trip_it(clock: Clock) -> None:
    assert minutes_until_tripped(clock, 100, 5) == 60
    assert minutes_until_tripped(clock, 100, 0) == 60


def test_one_bug_in_a_quiet_shop_does_not_trip_it(clock: Clock) -> None:
    breaker = Breaker()
    breaker.note(1, 1)
    for _ in range(100):
        clock.now += 7
        breaker.note(1, 0)


def test_a_burst_that_ends_within_the_minute_does_not_trip_it(clock: Clock) -> None:
    breaker = Breaker()
    for _ in range(5):
        for second in range(120):
            breaker.note(100, 50 if second < 10 else 0)
            clock.now += 1

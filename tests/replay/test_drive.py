"""A replay drives its sink chunk by chunk, at its pace, and passes over what is there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from stream.config import ConfigError, Settings
from stream.replay.drive import ChunkResult, Drive
from stream.replay.outcome import PublishedRecord, RefusedRow
from stream.replay.pace import Pace, parse_pace
from stream.replay.resume import Resume
from stream.worker.engine import Publication

SETTINGS = Settings(partitions=1)
FASTEST, NOTHING = Pace(), Resume()


class Sink:
    """Notes what it is asked for, and answers each record with an offer."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.records: list[Publication] = []
        self.offers: list[bytes] = []

    async def publish(self, records: Sequence[Publication]) -> None:
        self.calls.append(f"publish {len(records)}")
        self.records += records
        self.offers += [b"for " + record[1] for record in records if record[0] != "catalog"]

    async def settle(self) -> None:
        self.calls.append("settle")

    def drain_offers(self) -> list[bytes]:
        drained, self.offers = self.offers, []
        return drained


def record(row: int, kind: str = "clicks", rows: int = 1) -> PublishedRecord:
    return PublishedRecord(kind, b"ada", b"{}", row * 1_000, row, rows)  # type: ignore[arg-type]


def driven(
    outcomes: Sequence[PublishedRecord | RefusedRow],
    sink: Sink,
    *,
    pace: Pace = FASTEST,
    resume: Resume = NOTHING,
    stop_after: int = 99,
) -> tuple[bool, list[ChunkResult]]:
    """Drive; the clock stands still, and ``stop`` is set after so many steps."""
    steps: list[ChunkResult] = []

    async def run() -> bool:
        stop = asyncio.Event()

        def watch(step: ChunkResult) -> None:
            steps.append(step)
            if len(steps) == stop_after:
                stop.set()

        drive = Drive(sink, SETTINGS, "5a1f", resume, pace, lambda: 1e9)
        return await drive.run(outcomes, watch, stop)

    return asyncio.run(run()), steps


def test_each_chunk_settles_before_the_next() -> None:
    sink = Sink()
    finished, steps = driven([record(n) for n in range(1, 2_502)], sink)
    assert finished
    assert sink.calls == ["publish 1000", "settle"] * 2 + ["publish 501", "settle"]
    assert [step.rows for step in steps] == [1_000, 1_000, 501]
    assert [len(step.offers) for step in steps] == [1_000, 1_000, 501]


def test_a_chunk_ends_after_so_many_records_or_ten_times_as_many_refused_rows() -> None:
    sink = Sink()
    orders = [record(n * 400, "purchases", rows=400) for n in range(1, 6)]
    refused = [RefusedRow(n, "ragged", b"") for n in range(30)]
    _, steps = driven([*orders, *refused], sink, pace=Pace(rate=20))
    assert [(step.rows, step.published, len(step.refused)) for step in steps] == [
        (800, 2, 0),
        (800, 2, 0),
        (420, 1, 20),
        (10, 0, 10),
    ]
    assert sink.calls == ["publish 2", "settle", "publish 2", "settle", "publish 1", "settle"]


def test_items_settle_before_the_events_that_speak_of_them() -> None:
    sink = Sink()
    _, steps = driven([record(1), record(2, "catalog", rows=0), record(2)], sink)
    assert sink.calls == ["publish 1", "settle", "publish 2", "settle"]
    assert [kind for kind, *_ in sink.records] == ["catalog", "clicks", "clicks"]
    assert (steps[0].published, steps[0].rows) == (2, 2)


def test_records_carry_the_replay_and_the_row_and_arrive_now() -> None:
    sink = Sink()
    driven([record(7)], sink)
    assert sink.records == [
        (
            "clicks",
            b"ada",
            b"{}",
            (("offerstream-replay", b"5a1f"), ("offerstream-replay-row", b"7")),
            None,
        )
    ]


def test_what_is_there_is_passed_over_and_counted() -> None:
    sink = Sink()
    resume = Resume({("clicks", 0): 3, ("purchases", 0): 1})
    outcomes = [record(n, kind) for n, kind in enumerate(["purchases"] + ["clicks"] * 4, 1)]
    _, (step,) = driven(outcomes, sink, resume=resume)
    assert (step.rows, step.present, step.published) == (5, 3, 2)
    assert [headers[1][1] for _, _, _, headers, _ in sink.records] == [b"4", b"5"]


def test_an_interruption_ends_it_between_chunks() -> None:
    sink = Sink()
    finished, steps = driven([record(n) for n in range(1, 5_001)], sink, stop_after=2)
    assert not finished
    assert len(steps) == 2
    assert sink.calls == ["publish 1000", "settle"] * 2


def test_a_pace_is_waited_for_as_long_as_nobody_interrupts() -> None:
    async def run() -> list[float]:
        stop, waits = asyncio.Event(), []

        class Slow(Pace):
            def wait(self, rows: int, passed_ms: int, elapsed: float) -> float:
                waits.append(super().wait(rows, passed_ms, elapsed))
                stop.set()
                return 3_600.0

        drive = Drive(Sink(), SETTINGS, "5a1f", Resume(), Slow(times=2), lambda: 0.0)
        assert not await drive.run([record(n) for n in range(10)], lambda step: None, stop)
        return waits

    assert asyncio.run(run()) == [0.0]


def test_a_paced_replay_goes_in_small_steps() -> None:
    assert (Pace().chunk, Pace(times=60).chunk) == (1_000, 50)
    assert [Pace(rate=rate).chunk for rate in (0.5, 400, 1e6)] == [1, 40, 1_000]


@pytest.mark.parametrize("text", ["", "fast", "0", "-1", "1/m", "x", "1e9", "nan", "0/s", "."])
def test_a_pace_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"--speed is .* it must be max, or N"):
        parse_pace(text)


def test_a_pace_is_read() -> None:
    assert parse_pace(".5") == Pace(times=0.5)
    assert parse_pace("60x") == Pace(times=60)
    assert parse_pace("1000/s") == Pace(rate=1_000)

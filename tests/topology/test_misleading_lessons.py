"""Lessons that a worker could have written, and that mislead: the learner finds its way back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import NamedTuple

import pytest

from stream.codec.examples import EncodedLessons, Lesson, encode_examples, encode_lesson
from stream.decide.example import Basket
from stream.domain.stamps import stamp
from stream.worker.engine import Engine
from stream.worker.learning.verification import verify_models
from tests.builders import NOON, SECOND, a_click
from tests.topology.embedded import look, publication, running, settings_in
from tests.topology.test_poisoned_internals import lesson, step

REFUSED = 'internal_records_refused_total{topic="examples"}'
FAR = 4_102_444_000_000
NOW = NOON + 60 * SECOND


def of_two(first: int, second: int) -> bytes:
    payload = encode_examples([step(time=NOW)])
    return encode_lesson(
        Lesson(0, (EncodedLessons(0, first, payload), EncodedLessons(0, second, payload)))
    )


class Case(NamedTuple):
    """Records of the log of examples, and how many of them are refused."""

    records: list[bytes]
    refused: int = 0


CASES = {
    "a partition beyond all": Case([lesson(step(time=NOW), partition=900)], 1),
    "a partition of nobody": Case([lesson(step(time=NOW), partition=-1)], 1),
    "just behind the end": Case([lesson(step(time=NOW), offset=61)]),
    "a little ahead": Case([lesson(step(time=NOW), offset=560)]),
    "far ahead": Case([lesson(step(time=NOW), offset=10**6)]),
    "very far ahead": Case([lesson(step(time=NOW), offset=10**10)]),
    "of an empty topic": Case([lesson(step(time=NOW), source=3, offset=5)]),
    "far ahead in an empty topic": Case([lesson(step(time=NOW), source=3, offset=10**6)]),
    "of a life to come": Case([lesson(step(time=NOW), offset=stamp(1, 3))]),
    "of the seventeenth life": Case([lesson(step(time=NOW), offset=stamp(17, 0))]),
    "two in a record": Case([of_two(70, 10**6)]),
    "two that agree": Case([lesson(step(time=NOW), offset=10**6 + n) for n in range(2)]),
    "seven that agree": Case([lesson(step(time=NOW), offset=10**6 + n) for n in range(7)]),
    "a step from 2099": Case([lesson(step(time=FAR), source=3, offset=5)], 1),
    "an order from 2099": Case([lesson(Basket(FAR, None, ("a", "b")), source=3, offset=5)], 1),
}


async def shopping(engine: Engine, first: int) -> bool:
    """Sixty clicks, settled; whether all was learned that workers taught of them."""
    learned, taught = engine.status().learned, await emitted(engine)
    times = range(first, first + 60)
    await engine.publish(
        [publication(a_click(n, f"c{n % 5}", f"p{n % 7}", time=NOON + n * SECOND)) for n in times]
    )
    await engine.settle()
    new = engine.status().learned - learned
    return new >= 60 and new == await emitted(engine) - taught


async def emitted(engine: Engine) -> float:
    return (await look(engine)).metrics["examples_emitted_total"]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
async def test_what_misleads_costs_nothing_of_what_follows(case: Case, tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    async with running(settings, lockstep=True) as engine:
        assert await shopping(engine, 0)
        for value in case.records:
            topic = settings.topics.examples
            await (await engine.app.send_batch(topic, 0, [(None, value, None, ())]))
        await engine.settle()
        for first in (60, 120):
            assert await shopping(engine, first)
        seen = await look(engine)
        assert seen.metrics["models_refused_total"] == 0
        assert seen.metrics[REFUSED] == case.refused
    assert (await asyncio.to_thread(verify_models, settings)).holds
    async with running(settings, lockstep=True) as again:
        assert await shopping(again, 180)
        assert (await look(again)).metrics["models_refused_total"] == 0
    assert (await asyncio.to_thread(verify_models, settings)).holds

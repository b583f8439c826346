"""Input = applied + duplicate + dead-lettered + late + suppressed, whatever is sent.

``OFFERSTREAM_TEST_FUZZ`` is how many mutated and damaged records are sent in the fuzz.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from stream.codec.deadletters import FailedRecord, restore
from tests.topology.embedded import arrived, look, running, settings_in, stored
from tests.topology.mixture import VALID, a_mix, assert_accounted

RECORDS = 2_000
FUZZ = int(os.environ.get("OFFERSTREAM_TEST_FUZZ", "12000"))
BAD = 0.6


@pytest.mark.parametrize("partitions", [1, 4])
async def test_every_record_is_accounted_for(tmp_path: Path, partitions: int, seed: int) -> None:
    chance = random.Random(seed)
    sent = list(a_mix(chance, RECORDS))
    settings = settings_in(tmp_path, partitions)
    at = VALID
    async with running(settings, stocked=False) as engine:
        await engine.publish([record for _, record in sent[:at]])
        await engine.settle()
        while at < len(sent):
            size = chance.randint(1, 400)
            await engine.publish([record for _, record in sent[at : at + size]])
            at += size
        seen = await look(engine)
        assert arrived(engine) == len(sent)
        assert_accounted(seen.counts, Counter(outcome for outcome, _ in sent))
        assert len(seen.letters) == seen.counts["rejected"]
        assert len(seen.late) == seen.counts["late"]
        assert seen.metrics["events_applied_total"] == seen.counts["applied"]
        in_topics = [
            FailedRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, r.headers)
            for kind in ("clicks", "purchases", "feedback", "customers")
            for r in stored(engine, kind)
        ]
    async with running(settings, stocked=False) as again:
        assert (await look(again)).counts == seen.counts  # a restart counts nothing again

    by_place = {(r.topic, r.partition, r.offset): r for r in in_topics}
    for told in map(restore, seen.letters):
        original = by_place.pop((told.record.topic, told.record.partition, told.record.offset))
        value = original.value if told.complete else (original.value or b"")[:4096]
        assert told.record == original._replace(value=value)
    late = Counter((r.key, r.value, r.timestamp) for r in seen.late)
    assert late <= Counter((r.key, r.value, r.timestamp) for r in by_place.values())


@pytest.mark.timeout(3600)
async def test_fuzz_among_valid_events_crashes_nothing_and_is_accounted_for(
    tmp_path: Path, seed: int
) -> None:
    chance, size = random.Random(seed), int(FUZZ / BAD)
    mix, due = a_mix(chance, size, bad=BAD), Counter[str]()
    async with running(settings_in(tmp_path, 4)) as engine:
        for at in range(0, size, VALID):
            chunk = list(islice(mix, min(VALID, size - at)))
            due.update(outcome for outcome, _ in chunk)
            await engine.publish([record for _, record in chunk])
            if at == 0 or chance.random() < 0.2:
                await engine.settle()
        await engine.settle()
        assert_accounted(Counter(engine.status().counts), due)
        counts = engine.status().counts
        assert len(stored(engine, "dead_letters")) == counts["rejected"] > FUZZ / 3
        assert len(stored(engine, "late")) == counts["late"]

"""Under constant load nothing grows for ever; a short form of ``python -m tests.chaos --soak``.

``OFFERSTREAM_TEST_SOAK`` is its length in seconds. Whether memory grows shows only once the caches
are full: that is asked of runs of half an hour and more.
"""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from tests.chaos.faults import Load
from tests.chaos.judging import WRONG, judged
from tests.chaos.lab import Lab
from tests.chaos.soak import EVERY, Sample, grown, settled, slope, soak

SECONDS = float(os.environ.get("OFFERSTREAM_TEST_SOAK", "90"))


@pytest.mark.timeout(SECONDS + 300)
def test_under_constant_load_nothing_grows(
    kafka: str, topic_prefix: str, tmp_path: Path, seed: int
) -> None:
    lab = Lab.on(kafka, topic_prefix, tmp_path, partitions=4)
    figures = asyncio.run(soak(lab, Load(seed, 100.0), SECONDS, tmp_path / "soak.json"))
    print(figures)
    assert figures["piling_up"] == 0
    assert figures["growing"] == 0 or SECONDS < 1_800
    assert figures["crashes"] == 0
    assert (tmp_path / "soak.svg").read_text().startswith("<svg")
    found = judged(lab.settings)
    assert {name: found[name] for name in WRONG} == dict.fromkeys(WRONG, 0)


def samples(seed: int, hours: float, leak: float, descriptors: float = 0.0) -> list[Sample]:
    """Memory that fills a cache, wavers, and leaks so many MiB an hour."""
    chance, at, found = random.Random(seed), 0.0, list[Sample]()
    while at < hours * 3600:
        held = 200 + 50 * min(at / (0.3 * hours * 3600), 1) + chance.gauss(0, 1) + leak * at / 3600
        found.append(Sample(at, held, 40 + int(descriptors * at / 3600), 12, 60))
        at += EVERY
    return found


def test_a_leak_is_told_from_a_cache_that_fills(seed: int) -> None:
    full = settled(samples(seed, 2.0, leak=0.0))
    assert not slope(full).grows
    assert abs(slope(full).value) < 1.0
    leaking = slope(settled(samples(seed, 2.0, leak=3.0)))
    assert leaking.grows
    assert abs(leaking.value - 3.0) < 1.0
    assert max(grown(full).values()) == 0
    assert grown(settled(samples(seed, 2.0, 0.0, descriptors=20.0)))["descriptors"] > 3

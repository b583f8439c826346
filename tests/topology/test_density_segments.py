from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

from stream.codec.snapshots.snapshot import fingerprint
from stream.config import LearningSettings
from stream.domain.event import Event
from stream.models.segments.density import DensitySegments
from tests.builders import HOUR, NOON, a_click, a_purchase
from tests.topology.embedded import publication, running, settings_in

DENSITY = LearningSettings(propensity_bits=12, segmenter="density", step=8, publish_interval=0.2)


def two_kinds_of_customers(chance: random.Random) -> list[Event]:
    """Sixty customers, half of whom order often and dear; the others look on, once or twice."""
    events: list[Event] = []
    for n in range(900):
        time = NOON + n * HOUR // 12
        if n % 3:
            loyal = f"loyal{chance.randrange(30)}"
            events.append(a_purchase(n, loyal, f"i{n % 9}", time=time))
        else:
            events.append(a_click(n, f"guest{chance.randrange(30)}", f"i{n % 9}", time=time))
    return events


async def test_density_segments_are_learned_published_and_assigned_live(
    tmp_path: Path, seed: int
) -> None:
    settings = replace(settings_in(tmp_path), learning=DENSITY)
    events = two_kinds_of_customers(random.Random(seed))
    async with running(settings, lockstep=True) as engine:
        for at in range(0, len(events), 150):
            await engine.publish([publication(event) for event in events[at : at + 150]])
            await engine.settle()
        told = [text for text in engine.status().segments if text]  # some are no more
        assert len(told) >= 2 and not any("%" in text for text in told)
        segments = engine.app.view.world.models.segments
        assert isinstance(segments, DensitySegments)
        before = fingerprint(segments.state())
        states = dict(engine.customers())
        assert fingerprint(segments.state()) == before
        assert {s.profile.segment for s in states.values()} - {None}

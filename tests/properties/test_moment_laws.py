"""Whoever dies or wakes up, an offer that time begins is made once, with one content."""

from __future__ import annotations

import os
import random
from collections import Counter
from dataclasses import replace

import pytest

from stream.domain.event import Campaign
from tests.builders import OPEN, a_world
from tests.properties.test_effectively_once import a_history, contents_of, judge_account
from tests.simulation import Broker, run

SEEDS = int(os.environ.get("OFFERSTREAM_TEST_SIMULATIONS", "10000"))
POLICY = replace(
    OPEN, offer_gap=2.0, offers_per_day=100, exploration=0.3, quiet_from=0, quiet_until=0
)
CAMPAIGNS = (
    Campaign("rem", "Still there", "reminder", wait=3_000),
    Campaign("win", "Back", "win_back", wait=8_000),
    Campaign("all", "All"),
)
WORLD = a_world(POLICY, attribution=4.0, grace=4.0)._replace(campaigns=CAMPAIGNS)


def by_timers(broker: Broker) -> Counter[bytes]:
    """The offers that timers began, as often as each was sent."""
    return Counter(value for value in broker.offers() if b'"trigger":' in value)


@pytest.mark.parametrize("block", range(2))
def test_all_that_is_decided_is_sent_and_an_id_has_one_content(block: int, seed: int) -> None:
    begun = 0
    for case in range(seed, seed + max(SEEDS // 512, 2)):
        broker = run(a_history(random.Random(case)), WORLD, case, 6)
        judge_account(broker.topics, broker, case)
        begun += len(by_timers(broker))
    assert begun, "no timer began anything"


def test_with_one_topic_a_crash_changes_nothing_at_all(seed: int) -> None:
    begun = again = 0
    for case in range(seed, seed + max(SEEDS // 256, 4)):
        topics = a_history(random.Random(case))
        topics[1:] = [[] for _ in range(3)]
        crashed, calm = run(topics, WORLD, case, 6), run(topics, WORLD, case + 1, 0)
        assert crashed.customers() == calm.customers(), case
        assert crashed.counts() == calm.counts(), case
        assert contents_of(crashed) == contents_of(calm), case
        assert crashed.ledger().timer == calm.ledger().timer, case
        assert by_timers(crashed).keys() == by_timers(calm).keys(), case
        assert set(by_timers(calm).values()) <= {1}, case
        begun += len(by_timers(calm))
        again += by_timers(crashed).total()
    assert begun, "no timer began anything"
    assert SEEDS < 1_000 or again > begun, "nothing was ever sent again"

"""Decisions on their topic: by the contract, of whole customers, with the same bytes again."""

from __future__ import annotations

import json
import random
from collections import Counter, defaultdict
from dataclasses import replace

import orjson
import pytest

from stream.codec.decisions import encode_decision
from stream.codec.schema import load_schemas
from stream.config import PolicySettings
from stream.decide.decision import MOST_PASSED, is_sampled, told
from stream.decide.ledger import DECISION, OFFER, Entry
from stream.decide.policy import Denial, arm_of
from stream.domain.event import Campaign, Event, Source
from stream.domain.offer import Cause
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase, a_world, an_update, consent
from tests.tableless import Tableless

SCHEMA = load_schemas().of("decisions")
BUSY = replace(OPEN, offer_gap=90.0, offers_per_day=20, holdout=0.2)


def entries(seed: int, size: int = 400, customers: int = 60) -> list[Entry]:
    """Clicks and orders of customers, some of whom say no after a while."""
    chance, found = random.Random(seed), list[Entry]()
    for n in range(size):
        customer, time = f"c{chance.randrange(customers)}", NOON + n * 10 * SECOND
        event: Event = a_click(n, customer, f"i{chance.randrange(9)}", time=time)
        source = Source.CLICKS
        if chance.random() < 0.15:
            event, source = a_purchase(n, customer, "i1", time=time), Source.PURCHASES
        elif chance.random() < 0.05:
            said = consent(chance.random() < 0.5)
            event, source = an_update(n, customer, time=time, consent=said), Source.CUSTOMERS
        found.append(Entry(source, n, event))
    return found


def decided(
    seed: int, share: float, policy: PolicySettings = BUSY, one_by_one: bool = False
) -> Tableless:
    partition = Tableless(a_world(policy, decisions_share=share))
    given = entries(seed)
    size = 1 if one_by_one else 50
    for at in range(0, len(given), size):
        partition.decide(given[at : at + size])
    return partition


def payloads(partition: Tableless) -> list[bytes]:
    return [effect.payload for effect in partition.effects if effect.kind == DECISION]


def test_each_moment_is_told_once_by_the_contract(seed: int) -> None:
    partition = decided(seed, 1.0)
    said = [orjson.loads(payload) for payload in payloads(partition)]
    assert all(SCHEMA.is_valid(one) for one in said)
    assert len({one["decision_id"] for one in said}) == len(said)
    counts = partition.ledger.counts
    reasons = Counter(f"denied:{one['reason']}" for one in said if one["outcome"] == "refused")
    assert reasons == {n: k for n, k in counts.items() if n.startswith("denied:")}
    assert {"denied:consent", "denied:holdout", "denied:offer_gap"} <= reasons.keys()
    offers = [orjson.loads(e.payload) for e in partition.effects if e.kind == OFFER]
    made = {one["offer_id"]: one for one in said if one["outcome"] == "offer"}
    assert made.keys() == {offer["offer_id"] for offer in offers}
    for offer in offers:
        one = made[offer["offer_id"]]
        assert one["decided_at"] == offer["issued_at"] and one["source"] == offer["source"]
        assert one["campaign_id"] == offer["campaign_id"] and one["models"] == offer["models"]


def test_the_arm_of_the_holdout_is_told_of_all_who_may_be_made_offers(seed: int) -> None:
    partition = decided(seed, 1.0)
    settings = partition.world.settings
    for one in map(orjson.loads, payloads(partition)):
        if one.get("reason") == "consent":
            assert one["arms"] == {}
        else:
            arm = arm_of(one["customer_id"], settings.seed, settings.policy)
            assert one["arms"] == {"holdout": arm}


def test_customers_are_wholly_in_the_sample_or_out_of_it(seed: int) -> None:
    every, some = decided(seed, 1.0), decided(seed, 0.4)
    mine = defaultdict(list)
    for payload in payloads(every):
        mine[json.loads(payload)["customer_id"]].append(orjson.loads(payload) | {"share": 0.4})
    told_of = defaultdict(list)
    for payload in payloads(some):
        told_of[json.loads(payload)["customer_id"]].append(orjson.loads(payload))
    key = some.world.settings.seed
    assert told_of == {name: said for name, said in mine.items() if is_sampled(name, key, 0.4)}
    assert 0 < len(told_of) < len(mine)


def test_a_share_of_none_tells_nothing_and_changes_nothing_else(seed: int) -> None:
    nothing, every = decided(seed, 0.0), decided(seed, 1.0)
    assert not payloads(nothing)
    assert [e for e in every.effects if e.kind != DECISION] == nothing.effects
    assert every.ledger == nothing.ledger
    stripped = {n: s and replace_effects(s) for n, s in every.states.items()}
    assert stripped == {n: s and replace_effects(s) for n, s in nothing.states.items()}


def replace_effects(state: object) -> object:
    from msgspec.structs import replace as changed

    return changed(state, effects=())


def test_the_same_is_told_however_the_events_were_batched(seed: int) -> None:
    together, apart = decided(seed, 1.0), decided(seed, 1.0, one_by_one=True)
    assert payloads(together) == payloads(apart)


def test_the_share_of_customers_is_the_one_that_was_set(seed: int) -> None:
    sampled = sum(is_sampled(f"c{seed}-{n}", 7, 0.05) for n in range(20_000))
    assert sampled == pytest.approx(1_000, abs=160)  # five standard deviations


def test_a_long_line_is_named_in_part() -> None:
    line = tuple((f"c{n}", Denial.AUDIENCE) for n in range(MOST_PASSED + 5))
    world = a_world(decisions_share=1.0)
    cause = Cause(Source.CLICKS, 0, 4)
    decision = told(a_click(0, "anna"), cause, NOON, Denial.NO_CAMPAIGN, line, world)
    said = orjson.loads(encode_decision(decision))
    assert SCHEMA.is_valid(said) and said["unnamed"] == 5 and len(said["passed"]) == MOST_PASSED


def test_campaigns_that_stood_in_line_are_told() -> None:
    partition = Tableless(
        a_world(decisions_share=1.0)._replace(
            campaigns=(Campaign("vip", "VIP", segments=(63,)), Campaign("all", "All"))
        )
    )
    partition.decide([Entry(Source.CLICKS, 0, a_click(0, "anna"))])
    (said,) = map(orjson.loads, payloads(partition))
    assert said["passed"] == [{"campaign_id": "vip", "reason": "audience"}]
    assert said["campaign_id"] == "all" and said["outcome"] == "offer"

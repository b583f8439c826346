"""Budgets: all partitions together never spend more, whoever crashes, whatever is heard twice."""

from __future__ import annotations

from random import Random

import pytest

from stream.codec.claims import decode_claim, encode_claim
from stream.decide.campaigns.budgets import SPENT, Claim, Grants, Purse, granted, limit_of, spent_by
from stream.domain.campaign import Budget, Unit
from stream.domain.event import Campaign

LIMIT = 1_000


def a_campaign(limit: int = LIMIT, **fields: object) -> Campaign:
    return Campaign("c", "C", budget=Budget(Unit.OFFERS, limit), **fields)  # type: ignore[arg-type]


class Worker:
    """A partition's owner: what it has spent is durable, what it has read of the log is not."""

    def __init__(self, partition: int) -> None:
        self.partition, self.spent, self.read = partition, 0, 0
        self.grants: Grants = {}

    def crash(self) -> None:
        self.grants, self.read = {}, 0

    def follow(self, log: list[Claim], until: int) -> None:
        for claim in log[self.read : until]:
            self.grants = granted(self.grants, claim)
        self.read = max(self.read, until)

    def decide(self, campaign: Campaign, visits: int, cost: int, now: int = 0) -> list[Claim]:
        purse = Purse([campaign], self.grants, self.partition, {SPENT + "c": self.spent})
        for _ in range(visits):
            if purse.left["c"] >= cost:
                purse.spend("c", cost)
                self.spent += cost
            else:
                purse.want("c")
        return purse.claims(now)


@pytest.mark.parametrize("cost", [1, 7])
def test_three_workers_that_are_killed_and_hear_twice_never_overspend(seed: int, cost: int) -> None:
    chance = Random(seed)
    for _ in range(20):
        campaign, workers = a_campaign(), [Worker(n) for n in range(3)]
        log: list[Claim] = []
        weights = [chance.choice([1, 5, 50]) for _ in workers]
        for _ in range(1_500):
            worker = chance.choices(workers, weights)[0]
            if chance.random() < 0.02:
                worker.crash()
            worker.follow(log, chance.randint(worker.read, len(log)))
            claims = worker.decide(campaign, chance.randint(0, 5), cost)
            log += claims * chance.choice([1, 1, 2])
            assert sum(each.spent for each in workers) <= LIMIT
        spent = sum(each.spent for each in workers)
        assert spent > LIMIT * 0.8, (seed, weights, [each.spent for each in workers])


def test_everybody_who_reads_the_same_log_knows_the_same_grants(seed: int) -> None:
    chance = Random(seed)
    log = [
        Claim("c", chance.randrange(3), chance.choice([0, 0, 5, 10]), chance.randint(0, 9), 40)
        for _ in range(200)
    ]
    grants: Grants = {}
    for claim in log:
        before = sum(grants.get("c", {}).values())
        grants = granted(grants, claim)
        assert before <= sum(grants.get("c", {}).values()) <= 40
    again: Grants = {}
    for claim in log:
        again = granted(granted(again, claim), claim)
    assert again == grants


def test_a_lost_log_of_claims_grants_what_was_spent_again_and_not_more() -> None:
    worker, log = Worker(0), list[Claim]()
    for _ in range(200):
        worker.follow(log, len(log))
        log += worker.decide(a_campaign(), 3, 1)
    assert worker.spent > 100
    worker.crash()
    log.clear()
    for _ in range(2_000):
        worker.follow(log, len(log))
        log += worker.decide(a_campaign(), 3, 1)
    assert worker.spent == LIMIT


def test_a_budget_that_is_made_smaller_stops_and_one_made_larger_goes_on() -> None:
    worker, log = Worker(0), list[Claim]()

    def run(limit: int) -> int:
        for _ in range(2_000):
            worker.follow(log, len(log))
            log.extend(worker.decide(a_campaign(limit), 5, 1))
        return worker.spent

    assert run(LIMIT) == LIMIT
    assert run(500) == LIMIT
    assert run(2 * LIMIT) == 2 * LIMIT


def test_a_budget_that_is_paced_follows_the_time() -> None:
    campaign = Campaign(
        "c", "C", starts=0, ends=10_000, budget=Budget(Unit.OFFERS, LIMIT, even=True)
    )
    worker, log = Worker(0), list[Claim]()
    for now in range(0, 12_000, 10):
        worker.follow(log, len(log))
        log += worker.decide(campaign, 20, 1, now)
        assert worker.spent <= limit_of(campaign, now) <= LIMIT * now // 10_000 + 5
    assert worker.spent == LIMIT
    assert len(log) < 1_000  # the log of claims stays short


@pytest.mark.parametrize(
    "value",
    [None, b"", b"{}", b"[]", b'{"campaign_id":"","partition":0,"knows":0,"want":1,"limit":1}'],
)
def test_what_is_no_claim_is_refused(value: bytes | None) -> None:
    with pytest.raises(ValueError, match="no claim"):
        decode_claim(value)


def test_a_claim_comes_back_as_it_was_written_and_an_offer_tells_what_it_took() -> None:
    claim = Claim("spring", 3, 4, 5, 100)
    assert decode_claim(encode_claim(claim)) == claim
    assert spent_by(b'{"campaign_id":"spring","set_aside":7,"items":[]}') == ("spring", 7)
    assert spent_by(b'{"campaign_id":"spring"}') == ("spring", 0)

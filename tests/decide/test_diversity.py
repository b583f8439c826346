"""An offer holds as many of a kind as the setting says, and any number where it says none."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

from stream.config import PolicySettings
from stream.decide.choice.diversity import ANY_NUMBER, SlateLimits, kinds_of, varied
from stream.decide.ledger import OFFER, Entry
from stream.decide.policy import Denial
from stream.decide.retelling import decided_again, told_again
from stream.decide.witness import Witness
from stream.decide.world import World
from stream.domain.event import CatalogItem, Source
from stream.domain.offer import Offer
from tests.builders import NOON, OPEN, SECOND, a_click, a_world
from tests.tableless import Tableless

ITEMS = [
    CatalogItem(f"i{n}", category=("tea", "tea", "pots", None)[n % 4], brand=f"b{n % 3}")
    for n in range(24)
]
CATALOG = {item.item_id: item for item in ITEMS}
BUSY = replace(OPEN, offer_gap=30.0, offers_per_day=24, exploration=0.3, slate=5)


def offers(policy: PolicySettings, seed: int) -> tuple[list[Offer], Tableless, Witness]:
    chance, witness = random.Random(seed), Witness()
    world: World = a_world(policy)._replace(catalog=CATALOG, newest=tuple(CATALOG), witness=witness)
    partition = Tableless(world)
    made: list[Offer] = []
    for n in range(120):
        click = a_click(n, f"c{chance.randrange(6)}", "elsewhere", time=NOON + n * 40 * SECOND)
        made += partition.decide([Entry(Source.CLICKS, n, click)]).offers
    return made, partition, witness


def kinds(offer: Offer) -> Counter[tuple[str, str]]:
    return Counter(kind for one in offer.items for kind in kinds_of(CATALOG.get(one.item_id)))


def test_no_offer_holds_more_of_a_category_or_brand_than_may_be(seed: int) -> None:
    policy = replace(BUSY, slate_per_category=2, slate_per_brand=3)
    made, partition, _ = offers(policy, seed)
    assert len(made) > 20 and any(offer.explored for offer in made)
    for offer in made:
        held = kinds(offer)
        assert all(n <= {"category": 2, "brand": 3}[kind] for (kind, _), n in held.items())
        assert 1 <= len(offer.items) <= 5
    assert partition.ledger.counts["left_out:too_alike"] > 0
    unbound = offers(BUSY, seed)[0]
    assert any(kinds(offer)["category", "tea"] > 2 for offer in unbound), "or the rule does nothing"


def test_limits_that_bind_nobody_change_no_byte(seed: int) -> None:
    free = offers(BUSY, seed)[1]
    wide = offers(replace(BUSY, slate_per_category=50, slate_per_brand=50), seed)[1]
    payloads = [[e.payload for e in one.effects if e.kind == OFFER] for one in (free, wide)]
    assert payloads[0] == payloads[1]
    assert "left_out:too_alike" not in wide.ledger.counts


def test_what_was_left_out_is_told_and_the_offer_is_decided_again(seed: int) -> None:
    made, _, witness = offers(replace(BUSY, slate_per_category=1), seed)
    seen = witness.drain()
    assert len(seen) == len(made)
    denials: Counter[Denial | None] = Counter()
    for offer, (offer_id, evidence) in zip(made, seen, strict=True):
        assert offer.offer_id == offer_id and decided_again(evidence) == offer
        considered = told_again(evidence).considered
        denials.update(one.denial for one in considered)
        alike = {one.item_id for one in considered if one.denial is Denial.TOO_ALIKE}
        assert alike.isdisjoint(one.item_id for one in offer.items)
    assert denials[Denial.TOO_ALIKE]


def test_the_probabilities_of_what_may_be_drawn_sum_to_one() -> None:
    order = list(range(24))
    found = varied(order, ITEMS, 4, SlateLimits(category=1))
    assert len(found.held) <= 4 and set(found.spare).isdisjoint(found.held)
    for other in found.spare:
        mixed = Counter(k for n in [*found.held[:-1], other] for k in kinds_of(ITEMS[n]))
        assert all(n <= 1 for (kind, _), n in mixed.items() if kind == "category")


def test_the_best_is_always_held_and_what_has_no_category_is_like_nothing(seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(300):
        order = chance.sample(range(24), chance.randint(1, 24))
        limits = SlateLimits(chance.randint(0, 3), chance.randint(0, 3))
        size = chance.randint(1, 6)
        found = varied(order, ITEMS, size, limits)
        assert found.held[0] == order[0]
        assert found.held == sorted(found.held, key=order.index)
        if limits == ANY_NUMBER:
            assert found.held == order[:size] and found.spare == order[size:]
        if limits.brand == 0:
            free = [n for n in order if ITEMS[n].category is None]
            assert len(found.held) >= min(size, len(free))

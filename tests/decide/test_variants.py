"""Variants of a campaign: chosen by what they bring, each with its probability, and stopped."""

from __future__ import annotations

import math
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import pytest

from stream.codec.decisions import encode_decision
from stream.codec.evidence import decode_evidence, encode_evidence
from stream.codec.examples import decode_examples, encode_examples
from stream.codec.offers import encode_offer
from stream.decide.campaigns.variants import odds_of
from stream.decide.decision import told
from stream.decide.policy import Denial
from stream.decide.retelling import decided_again
from stream.decide.rows.layout import is_sound
from stream.decide.rows.record import View, record_of
from stream.decide.witness import Witness
from stream.decide.world import World
from stream.domain.campaign import By, Choosing, Incentive, Reward, Variant
from stream.domain.event import Campaign, Feedback, Response, Source
from stream.domain.offer import Offer
from stream.models.experiments.offpolicy import snips
from stream.models.experiments.trials import BEGUN, BOUGHT, DISMISSED, PARTS, Code
from tests.builders import DAY, NOON, a_click, a_purchase, an_update, consent
from tests.decide.test_campaigns import FREE, a_shop
from tests.decide.trying import Tried
from tests.uncompiled import uncompiled

PLAIN = Variant("plain")
TEN = Variant("ten", reward=Reward(Incentive.PERCENT, 10))
DEAR = Variant("dear", strategy="upsell")
BUYS = {"plain": 0.08, "ten": 0.25, "twenty": 0.08}
HALF_AN_HOUR = replace(FREE, offer_gap=1_800.0)
THREE = (PLAIN, TEN, Variant("twenty", reward=Reward(Incentive.PERCENT, 20)))


def a_campaign(*variants: Variant, **choosing: Any) -> Campaign:
    known = Choosing(**choosing)
    return Campaign("tries", "Tries", variants=variants or THREE, choosing=known)


def a_shop_that_tries(*variants: Variant, **choosing: Any) -> World:
    return a_shop(a_campaign(*variants, **choosing), policy=HALF_AN_HOUR)


def answered(shop: Tried, n: int, time: int, who: str = "anna") -> Offer:
    (offer,) = shop.take(a_click(n, item="tea", customer=who, time=time)).offers
    return offer


# --------------------------------------------------------------------------------- what is chosen


def test_live_a_bandit_forgoes_less_than_half_of_what_even_chances_do(seed: int) -> None:
    bandit = Tried(a_shop_that_tries(), BUYS, seed)
    evenly = Tried(a_shop_that_tries(by=By.EVENLY), BUYS, seed)
    for shop in (bandit, evenly):
        shop.come(1_500)
    assert bandit.lost < 0.5 * evenly.lost
    assert bandit.shares.most_common(1)[0][0] == "ten"
    assert min(bandit.shares.values()) > 0


@pytest.mark.parametrize("by", [By.EVENLY, By.BANDIT])
def test_the_probabilities_on_offers_are_how_often_variants_are_chosen(by: By, seed: int) -> None:
    shop = Tried(a_shop_that_tries(by=by), BUYS, seed)
    shop.come(1_500)
    expected, variance = dict.fromkeys(BUYS, 0.0), dict.fromkeys(BUYS, 0.0)
    for offer, odds in zip(shop.offers, _odds_behind(shop), strict=True):
        assert offer.variant is not None
        assert sum(odds.values()) == pytest.approx(1.0)
        assert offer.variant.probability == odds[offer.variant.name]
        assert offer.assignment_probability == offer.variant.probability
        for name, p in odds.items():
            expected[name] += p
            variance[name] += p * (1 - p)
    for name, count in shop.shares.items():
        assert abs(count - expected[name]) < 5 * math.sqrt(variance[name])


def _odds_behind(shop: Tried) -> list[dict[str, float]]:
    """The probabilities in force at each offer, learned again from what was told before it."""
    again = Tried(shop.world, shop.buys, shop.seed)
    campaign, found, told_of = again.world.campaigns[0], [], iter(shop.told)
    waiting = next(told_of, None)
    for n, offer in enumerate(shop.offers):
        if n % 20 == 0:
            while waiting is not None and waiting.time < offer.issued:
                about = waiting.campaign_id, waiting.edition, waiting.code, waiting.what
                again.trials.learn(*about, waiting.spent, waiting.time)
                waiting = next(told_of, None)
            again.publish()
        parts = odds_of(campaign, None, again.world)
        names = [variant.name for variant in campaign.variants]
        found.append({name: part / PARTS for name, part in zip(names, parts, strict=True)})
    return found


def test_a_customer_keeps_the_variant_for_the_window_and_is_tried_once_in_it() -> None:
    shop = Tried(a_shop_that_tries(), BUYS, 0)
    shop.take(a_click(0, item="tea", customer="anna"))
    first = shop.offers[0]
    assert first.variant is not None and first.variant.begins
    for n in range(1, 5):
        shop.trials.learn("tries", first.variant.edition, Code(n % 3, None, 1).packed, BOUGHT, 0, 0)
        shop.publish()
        later = answered(shop, n, NOON + n * 3_600_000).variant
        assert later is not None
        assert (later.name, later.probability) == (first.variant.name, first.variant.probability)
        assert not later.begins
    assert [one.what for one in shop.told] == [BEGUN]
    after = answered(shop, 9, NOON + DAY).variant
    assert after is not None and after.begins
    assert [one.what for one in shop.told] == [BEGUN, BEGUN]


def test_segments_are_chosen_for_by_what_their_own_customers_did(seed: int) -> None:
    world = a_shop_that_tries(PLAIN, TEN)
    shop = Tried(world, {}, seed)
    edition = world.campaigns[0].edition
    for n in range(4_000):
        arm, segment = n % 2, n // 2 % 2
        code = Code(arm, segment, PARTS // 2).packed
        shop.trials.learn("tries", edition, code, BEGUN, 0, n)
        if n % 20 < (2, 8)[arm == segment]:
            shop.trials.learn("tries", edition, code, BOUGHT, 100, n)
    odds = [shop.trials.odds("tries", edition, 2, segment, 0.05, 1) for segment in (0, 1)]
    assert odds[0][0] > 0.9 * PARTS and odds[1][1] > 0.9 * PARTS


def test_a_trial_begins_only_where_every_variant_finds_an_item() -> None:
    shop = Tried(a_shop_that_tries(PLAIN, DEAR), {}, 0)
    offer = answered(shop, 0, NOON)  # nothing of tea's category is dearer
    assert offer.variant is not None
    assert (offer.variant.name, offer.variant.probability) == ("plain", 1.0)
    assert not offer.variant.begins and not shop.told
    none = a_shop_that_tries(DEAR, DEAR._replace(name="dearer"))
    step = Tried(none, {}, 0).take(a_click(0, item="tea", customer="anna"))
    assert step.denial is Denial.NOT_IN_STRATEGY


def test_a_variant_has_its_own_incentive_and_strategy() -> None:
    campaign = Campaign(
        "c", "C", discount=5, by_segment=((1, "trending"),), variants=(PLAIN, TEN, DEAR)
    )
    plain, ten, dear = map(campaign.as_variant, range(3))
    assert plain == campaign._replace(variants=())
    assert (ten.rewards, ten.by_segment) == ((TEN.reward,), campaign.by_segment)
    assert (dear.strategy, dear.by_segment, dear.discount) == ("upsell", (), 5)
    nothing = campaign._replace(variants=(Variant("n", reward=Reward()), TEN)).as_variant(0)
    assert not nothing.rewards[0].size


# --------------------------------------------------------------------------------- what is learned


def test_what_came_of_a_trial_is_told_once_and_only_within_its_window() -> None:
    shop = Tried(a_shop_that_tries(), BUYS, 0)
    offer = answered(shop, 0, NOON)
    shop.take(a_purchase(1, "anna", "i1", "i2", time=NOON + 60_000), Source.PURCHASES)
    shop.take(a_purchase(2, "anna", time=NOON + 70_000), Source.PURCHASES)
    for n, time in ((3, 80_000), (4, 90_000)):
        answer = Feedback(f"f{n}", "anna", NOON + time, Response.DISMISS, offer.offer_id, None)
        shop.take(answer, Source.FEEDBACK)
    assert [(one.what, one.spent) for one in shop.told] == [
        (BEGUN, 0),
        (BOUGHT, 2_000),
        (DISMISSED, 0),
    ]
    assert len({(one.code, one.edition, one.campaign_id) for one in shop.told}) == 1
    late = Tried(a_shop_that_tries(), BUYS, 0)
    answered(late, 0, NOON)
    late.take(a_purchase(1, "anna", time=NOON + DAY), Source.PURCHASES)
    assert [one.what for one in late.told] == [BEGUN, BEGUN]  # of the offer that it is answered by


def test_nothing_is_told_of_a_trial_of_who_withdrew() -> None:
    shop = Tried(a_shop_that_tries(), BUYS, 0)
    answered(shop, 0, NOON)
    for n, allowed in ((1, False), (2, True)):
        shop.take(an_update(n, "anna", consent=consent(allowed)), Source.CUSTOMERS)
    shop.take(a_purchase(3, "anna"), Source.PURCHASES)
    assert [one.what for one in shop.told] == [BEGUN]
    assert View(shop.records["anna"]).offers[0].trial == 0


def test_records_with_a_trial_are_sound_and_come_back_from_values() -> None:
    shop = Tried(a_shop_that_tries(), BUYS, 0)
    answered(shop, 0, NOON)
    shop.take(a_purchase(1, "anna", time=NOON + 60_000), Source.PURCHASES)
    record = shop.records["anna"]
    (made,) = View(record).offers
    assert made.trial and Code.of(made.trial).parts <= PARTS
    value = View(record).value
    again = record_of(value)
    assert View(again).value == value and value.delivery.made[0].trial == made.trial
    assert is_sound(np.frombuffer(record, np.uint8))


def test_examples_of_trials_come_back_as_they_were() -> None:
    shop = Tried(a_shop_that_tries(), BUYS, 0)
    answered(shop, 0, NOON)
    shop.take(a_purchase(1, "anna", time=NOON + 60_000), Source.PURCHASES)
    assert decode_examples(encode_examples(shop.told)) == shop.told


def test_without_variants_nothing_is_told_and_no_model_has_a_state_for_it() -> None:
    shop = Tried(a_shop(Campaign("c", "C")), {}, 0)
    offer = answered(shop, 0, NOON)
    assert offer.variant is None and not shop.told
    assert b"variant" not in encode_offer(offer)
    assert shop.trials.state() == {}


def test_off_policy_the_offers_tell_what_each_variant_is_worth(seed: int) -> None:
    shop = Tried(a_shop_that_tries(floor=0.2), BUYS, seed)
    shop.come(1_500)
    rewards = np.array([float(o.offer_id in shop.bought) for o in shop.offers])
    logged = np.array([o.variant.probability for o in shop.offers if o.variant])
    for name, truth in BUYS.items():
        chosen = np.array([float(o.variant.name == name) for o in shop.offers if o.variant])
        found = snips(rewards, chosen, logged)
        assert abs(found.value - truth) < 5 * found.standard_error


# -------------------------------------------------------------------------------------- guardrail


def test_a_variant_that_hurts_is_stopped_for_good_and_a_new_version_tries_it_again(
    seed: int,
) -> None:
    world = a_shop_that_tries(PLAIN, TEN)
    shop = Tried(world, {"plain": 0.05, "ten": 0.05}, seed, {"plain": 0.02, "ten": 0.5})
    shop.come(1_500)
    edition = shop.trials.editions["tries", world.campaigns[0].edition]
    assert edition.stopped[1].metric == "dismissals"
    shop.publish()
    before = len(shop.offers)
    shop.come(100)
    assert {one.variant.name for one in shop.offers[before + 20 :] if one.variant} == {"plain"}
    assert shop.offers[-1].variant is not None
    assert shop.offers[-1].variant.stopped == ("ten",)
    shop.world = shop.world._replace(campaigns=(a_campaign(PLAIN, TEN, version=2),))
    begun = len(shop.offers)
    shop.come(60)
    assert {one.variant.name for one in shop.offers[begun:] if one.variant} == {"plain", "ten"}


def test_who_is_tried_with_a_variant_that_is_stopped_gets_another() -> None:
    shop = Tried(a_shop_that_tries(PLAIN, TEN), BUYS, 0)
    who = next(f"c{n}" for n in range(50) if _gets(shop, f"c{n}") == "ten")
    edition = shop.world.campaigns[0].edition
    for n in range(3_000):
        code = Code(n % 2, None, PARTS // 2).packed
        shop.trials.learn("tries", edition, code, BEGUN, 0, NOON)
        if n % 2:
            shop.trials.learn("tries", edition, code, DISMISSED, 0, NOON)
    shop.publish()
    later = answered(shop, 99, NOON + 3_600_000, who).variant
    assert later is not None and (later.name, later.probability) == ("plain", 1.0)


def _gets(shop: Tried, who: str) -> str:
    offer = answered(shop, 0, NOON, who)
    assert offer.variant is not None
    return offer.variant.name


# --------------------------------------------------------------------------------------------- told


def test_its_evidence_makes_an_offer_again_to_the_byte() -> None:
    shop = Tried(a_shop_that_tries(), BUYS, 3)
    shop.come(60)
    witness = Witness()
    shop.world = shop.world._replace(witness=witness)
    offer = answered(shop, 0, NOON + DAY, "zoe")
    ((name, evidence),) = [decode_evidence(encode_evidence(*one)[1]) for one in witness.drain()]
    again = decided_again(evidence)
    assert isinstance(again, Offer) and name == offer.offer_id
    assert encode_offer(again) == encode_offer(offer)


def test_offer_and_decision_name_the_variant_and_its_probability() -> None:
    shop = Tried(a_shop_that_tries(PLAIN, TEN), BUYS, 0)
    click = a_click(0, item="tea", customer="anna")
    (offer,) = shop.take(click).offers
    assert offer.variant is not None
    assert (
        f'"variant":{{"name":"{offer.variant.name}","probability":0.5,"begins":true}}'.encode()
        in encode_offer(offer)
    )
    decision = told(click, offer.cause, NOON, offer, (), shop.world)
    assert (
        f'"variant":{{"name":"{offer.variant.name}","probability":0.5}}'.encode()
        in encode_decision(decision)
    )


def decided(seed: int) -> str:
    """All that a shop came to, as a hash."""
    shop = Tried(a_shop_that_tries(), {"plain": 0.5, "ten": 0.5, "twenty": 0.5}, seed, BUYS)
    shop.come(40)
    said = [encode_offer(offer) for offer in shop.offers]
    kept = [shop.records[name] for name in sorted(shop.records)]
    return sha256(b"".join([*said, *kept, encode_examples(shop.told)])).hexdigest()


def test_a_replay_decides_the_same_and_so_do_uncompiled_kernels(seed: int) -> None:
    program = f"from tests.decide.test_variants import decided; print(decided({seed}))"
    assert decided(seed) == decided(seed) == uncompiled(program)

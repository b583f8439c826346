"""Offers are made again from the log, to the byte, and told in words."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream.broker.local.log import Log
from stream.cli import main
from stream.codec.evidence import decode_evidence, encode_evidence
from stream.codec.offers import is_recall
from stream.codec.reference import encode_campaign, encode_item
from stream.config import ConfigError, Settings
from stream.domain.event import Action, Campaign, CatalogItem
from stream.insight.explaining import Verdict, explain
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase, an_update, consent
from tests.topology.embedded import publication, running, settings_in

EAGER = replace(OPEN, offer_gap=60.0, offers_per_day=1000, exploration=0.3)


def options(settings: Settings) -> list[str]:
    return [
        f"--broker={settings.broker}",
        f"--set=data_dir={settings.data_dir}",
        f"--set=partitions={settings.partitions}",
        "--set=topics.prefix=shop.",
        "--set=core.policy.consent_default=true",
        "--set=core.policy.holdout=0",
    ]


@pytest.fixture
async def shop(tmp_path: Path, seed: int) -> Settings:
    """A shop with a catalog, two campaigns and some traffic; models learn in between."""
    chance = random.Random(seed)
    settings = settings_in(tmp_path, 2, EAGER, decisions_share=0.5)
    async with running(settings, lockstep=True) as engine:
        for n in range(12):
            item = CatalogItem(
                f"i{n}", f"Item {n}", "tea" if n % 2 else "pots", price=1_000 + n, currency="EUR",
                stock=0 if n == 3 else 5, text=f"a thing of kind {n}",
            )  # fmt: skip
            await engine.publish([("catalog", item.item_id.encode(), encode_item(item), (), None)])
        for campaign in (
            Campaign("vip", "For nobody", priority=9, segments=(63,), discount=50),
            Campaign("tea-week", "Tea week", discount=10),
        ):
            key = campaign.campaign_id.encode()
            await engine.publish([("campaigns", key, encode_campaign(campaign), (), None)])
        for turn in range(4):
            events = []
            for n in range(turn * 60, turn * 60 + 60):
                customer, item_id = f"c{chance.randrange(6)}", f"i{chance.randrange(12)}"
                time = NOON + n * 30 * SECOND
                if chance.random() < 0.8:
                    action = chance.choice([Action.VIEW, Action.ADD_TO_CART])
                    events.append(a_click(n, customer, item_id, time=time, action=action))
                else:
                    events.append(a_purchase(n, customer, item_id, "i1", time=time))
            await engine.publish([publication(event) for event in events])
            await engine.settle()
    return settings


def on_topic(settings: Settings, topic: str) -> list[tuple[bytes, bytes]]:
    assert settings.embedded_log is not None
    with Log(settings.embedded_log) as log:
        return [
            (record.key or b"", record.value or b"")
            for number in range(settings.partitions)
            for record in log.read(topic, number, 0, 10_000, 1 << 30)
        ]


def offers_of(settings: Settings) -> list[dict[str, Any]]:
    said = [value for _, value in on_topic(settings, "shop.offers")]
    return [orjson.loads(value) for value in said if not is_recall(value)]


def decisions_of(settings: Settings) -> list[dict[str, Any]]:
    return [orjson.loads(value) for _, value in on_topic(settings, "shop.decisions")]


def run(*arguments: str, code: int = 0) -> str:
    done = CliRunner().invoke(main, [*arguments])
    assert done.exit_code == code, done.output
    return done.stdout


def test_every_offer_is_made_again_from_the_log_to_the_byte(shop: Settings) -> None:
    offers = offers_of(shop)
    assert len(offers) > 30
    assert any(offer["explored"] for offer in offers)
    assert any(offer["learned_through"] for offer in offers)
    evidence = on_topic(shop, "shop.evidence")
    assert len(evidence) == len(offers)
    for offer in random.Random(1).sample(offers, 12):
        found = explain(shop, offer["offer_id"], offer["customer_id"])
        assert found.verdict is Verdict.SAME, found.why
        assert found.told is not None
        placed = [one for one in found.told.considered if one.place]
        items = [item["product_id"] for item in offer["items"]]
        assert sorted(items) == sorted(one.item_id for one in placed)
        for one in placed:
            item = offer["items"][(one.place or 0) - 1]
            assert item["score"] == pytest.approx(one.propensity, abs=1e-6)
        assert [c.campaign_id for c in found.told.campaigns] == ["vip", "tea-week"]
    assert max(len(value) for _, value in evidence) < 20_000


def test_it_is_told_in_words_and_as_json(shop: Settings) -> None:
    offers = offers_of(shop)
    offer = offers[-1]
    words = run("explain", offer["offer_id"], *options(shop))
    assert f"Offer {offer['offer_id']} to {offer['customer_id']}" in words
    assert "Decided again from the log, it is the same, byte for byte." in words
    passed = "before it stood 'vip' (audience), with no offer to make."
    assert f"Campaign 'tea-week' was taken; {passed}" in words
    assert offer["items"][0]["name"] in words
    assert f"{offer['learned_through']:,} examples learned" in words
    document = json.loads(run("explain", offer["offer_id"], "--json", *options(shop)))
    assert document["verdict"] == "same"
    assert document["offer"] == offer
    denials = {one["denial"] for one in document["candidates"]}
    assert denials <= {None, "out_of_stock", "bought_already"}


def test_an_offer_that_was_changed_is_found_out(shop: Settings) -> None:
    assert shop.embedded_log is not None
    key, value = [one for one in on_topic(shop, "shop.offers") if not is_recall(one[1])][-1]
    offer = orjson.loads(value)
    forged = offer | {"offer_id": "forged", "discount_percent": 90}
    with Log(shop.embedded_log) as log:
        number = next(
            n for n in range(2) if key in [r.key for r in log.read("shop.offers", n, 0, 10_000)]
        )
        log.append("shop.offers", number, [(key, orjson.dumps(forged), NOON, ())])
        (of, evidence), *_ = [
            decode_evidence(record.value or b"")
            for record in log.read("shop.evidence", number, 0, 10_000, 1 << 30)
            if decode_evidence(record.value or b"")[0] == offer["offer_id"]
        ]
        assert of == offer["offer_id"]
        rubbish = [(key, b"\x01rubbish", NOON, ()), (key, b"", NOON, ()), (key, None, NOON, ())]
        log.append("shop.evidence", number, rubbish)
        copied = [(*encode_evidence("forged", evidence), NOON, ())]
        log.append("shop.evidence", number, copied)
    found = explain(shop, "forged")
    assert found.verdict is Verdict.DIFFERENT
    assert found.why == "decided again, it differs in offer_id, discount_percent"
    assert "it is NOT the same" in run("explain", "forged", *options(shop), code=1)
    assert explain(shop, offer["offer_id"]).verdict is Verdict.SAME


def test_an_offer_that_is_not_there_is_one_line(shop: Settings) -> None:
    with pytest.raises(ConfigError, match="holds no offer 'nobody'"):
        explain(shop, "nobody")
    done = CliRunner().invoke(main, ["explain", "nobody", "--customer", "c1", *options(shop)])
    assert done.exit_code == 2
    assert done.stderr.count("\n") == 1


async def test_without_evidence_it_says_what_is_missing(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, 1, EAGER)
    quiet = replace(settings, worker=replace(settings.worker, evidence=False))
    async with running(quiet, lockstep=True) as engine:
        events = [a_click(n, "c1", f"i{n}", time=NOON + n * 120 * SECOND) for n in range(6)]
        await engine.publish([publication(event) for event in events])
        await engine.settle()
        offers = [orjson.loads(offer) for offer in engine.drain_offers()]
    assert offers
    assert await asyncio.to_thread(on_topic, quiet, "shop.evidence") == []
    found = await asyncio.to_thread(explain, quiet, offers[0]["offer_id"])
    assert found.verdict is Verdict.NO_EVIDENCE
    words = await asyncio.to_thread(run, "explain", offers[0]["offer_id"], *options(quiet), code=1)
    assert "It cannot be decided again: the topic shop.evidence holds nothing of it" in words


async def test_a_customer_is_told_in_words_and_as_json(shop: Settings) -> None:
    async with running(shop, lockstep=True) as engine:
        time = NOON + 7_200 * SECOND
        no = an_update(900, "c2", time=time, consent=consent(False))
        await engine.publish([publication(no)])
        await engine.settle()
    words = await asyncio.to_thread(run, "customer", "c1", *options(shop))
    assert words.startswith("Customer c1, as of 2023-11-15T")
    assert "nothing was said" in words
    assert "  offers     " in words
    known = json.loads(await asyncio.to_thread(run, "customer", "c1", "--json", *options(shop)))
    assert known["customer_id"] == "c1"
    assert known["arm"] == "offer"
    assert known["offers"] == known["offers_on_the_log"] > 0
    assert {offer["customer_id"] for offer in known["open_offers"]} <= {"c1"}
    refused = json.loads(await asyncio.to_thread(run, "customer", "c2", "--json", *options(shop)))
    assert refused["refused_now"] == "consent"
    assert refused["permission"]["offers"]["allowed"] is False
    assert "the customer has not allowed offers" in await asyncio.to_thread(
        run, "customer", "c2", *options(shop)
    )
    told = {value["customer_id"] for value in await asyncio.to_thread(decisions_of, shop)}
    every = {offer["customer_id"] for offer in await asyncio.to_thread(offers_of, shop)}
    assert told and told < every, "some of six customers, by a hash of theirs"
    share = "--set=core.decisions_share=0.5"
    for name in every:
        known = json.loads(
            await asyncio.to_thread(run, "customer", name, "--json", share, *options(shop))
        )
        mine = [
            value
            for value in await asyncio.to_thread(decisions_of, shop)
            if value["customer_id"] == name
        ]
        refusals = [one for one in mine if one["outcome"] == "refused"]
        assert known["decisions_told"] is (name in told)
        assert [one["event_id"] for one in known["last_refusals"]] == [
            one["event_id"] for one in refusals[:-6:-1]
        ]
        words = await asyncio.to_thread(run, "customer", name, share, *options(shop))
        assert ("not told" in words) is (name not in told)
        if refusals:
            assert f"  refused    {refusals[-1]['decided_at']}: " in words
    done = await asyncio.to_thread(CliRunner().invoke, main, ["customer", "nobody", *options(shop)])
    assert done.exit_code == 1
    assert "nothing is kept of a customer 'nobody'" in done.stderr

"""Variants in a shop that runs: learned over a restart, verified from the log, explained, told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.codec.reference import encode_campaign
from stream.domain.campaign import Choosing, Goal, Incentive, Reward, Variant
from stream.domain.event import Campaign, Feedback, Response
from stream.worker.engine import Engine
from stream.worker.learning.verification import verify_models
from tests.builders import NOON, OPEN, SECOND, a_click, a_purchase
from tests.topology.embedded import publication, running, settings_in

VARIANTS = Variant("plain"), Variant("ten off", reward=Reward(Incentive.PERCENT, 10))
CAMPAIGN = Campaign("tries", "Tries", variants=VARIANTS, choosing=Choosing(goal=Goal.REVENUE))
EACH, APART = 280, 3 * SECOND


async def visited(engine: Engine, first: int) -> list[dict[str, Any]]:
    """Customers come; whoever has ten off dismisses it, and every second of the others buys."""
    clicks = [a_click(n, f"c{n}", "tea", time=NOON + n * APART) for n in range(first, first + EACH)]
    await engine.publish([publication(click) for click in clicks])
    await engine.settle()
    offers = [json.loads(offer) for offer in engine.drain_offers()]
    after, answers = NOON + (first + EACH) * APART, []
    for n, offer in enumerate(offers):
        who, time = offer["customer_id"], after - n
        if offer["variant"]["name"] == "ten off":
            dismissal = Feedback(f"f{who}", who, time, Response.DISMISS, offer["offer_id"])
            answers.append(publication(dismissal))
        elif n % 2:
            answers.append(publication(a_purchase(n, who, time=time, event_id=f"p{who}")))
    await engine.publish(answers)
    await engine.settle()
    return offers


def ran(*arguments: str) -> Any:
    done = CliRunner().invoke(main, list(arguments))
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_what_hurts_is_stopped_live_and_stays_so_over_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    policy = replace(OPEN, offers_per_day=24)
    settings = settings_in(tmp_path, 2, policy, decisions_share=1.0, grace=86_400.0)
    async with running(settings) as engine:
        campaign = CAMPAIGN.campaign_id.encode(), encode_campaign(CAMPAIGN)
        await engine.publish([("campaigns", *campaign, (), None)])
        await engine.settle()
        offers = await visited(engine, 0)
        offers += await visited(engine, EACH)
    assert {offer["variant"]["name"] for offer in offers} == {"plain", "ten off"}
    async with running(settings) as engine:
        offers += await visited(engine, 2 * EACH)
        later = await visited(engine, 3 * EACH)
    assert later and {offer["variant"]["name"] for offer in later} == {"plain"}
    assert later[-1]["variant"]["stopped"] == ["ten off"]
    assert "campaign tries: variant 'ten off' is stopped" in caplog.text
    verdict = await asyncio.to_thread(verify_models, settings)
    assert verdict.holds and "trials" in verdict.published
    given = ["--broker", settings.broker, "--set", "partitions=2", "--set", "topics.prefix=shop."]
    told = json.loads(await asyncio.to_thread(ran, "report", "--json", *given))
    (found,) = told["variants"]
    shown = {one["variant"]: one for one in found["variants"]}
    assert found["trials"] == len(offers) + len(later)
    assert shown["ten off"]["stopped"] and not shown["plain"]["stopped"]
    assert shown["ten off"]["dismissed"] == shown["ten off"]["trials"]
    rate = shown["plain"]["purchases"]
    assert rate["low"] < 0.5 < rate["high"] and not shown["ten off"]["bought"]
    words = await asyncio.to_thread(ran, "report", *given)
    assert "Variants of tries" in words and "stopped: it hurts" in words
    offer = offers[-1]
    core = ["--set", "core.decisions_share=1.0", "--set", "core.grace=86400"]
    words = await asyncio.to_thread(ran, "explain", offer["offer_id"], *given, *core)
    assert "the same, byte for byte" in words
    name, probability = offer["variant"]["name"], offer["variant"]["probability"]
    assert f"variant {name!r} was chosen with probability {probability:g}" in words

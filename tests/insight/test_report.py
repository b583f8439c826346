from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import orjson
import pytest
from click.testing import CliRunner

from stream.cli.report import report as command
from stream.config import ConfigError, CoreSettings, PolicySettings, Settings
from stream.decide.policy import CONTROL, arm_of
from stream.domain.event import Event, Response
from stream.insight.report.figures import report
from stream.insight.report.gather import Gathered, MadeOffer, Order, SampledDecision
from stream.insight.report.page import page
from stream.models.experiments.credit import CREDITS, shares
from stream.worker.checks.topics import verify
from tests.builders import HOUR, NOON, OPEN, SECOND, a_click, a_purchase, an_impression
from tests.topology.embedded import publication, running, settings_in

NOTHING: Mapping[Response, Mapping[str, int]] = {response: {} for response in Response}


def made(
    n: int, customer: str, time: int, items: tuple[str, ...] = ("tea",), **more: Any
) -> MadeOffer:
    scores = tuple(0.2 for _ in items)
    known: dict[str, Any] = {"campaign": "spring", "arm": "offer", "segment": "1", "discount": 0}
    return MadeOffer(f"o{n}", customer, issued=time, items=items, scores=scores, **(known | more))


def facts(**more: Any) -> Gathered:
    known: dict[str, Any] = {
        "offers": {},
        "seen": NOTHING,
        "orders": [],
        "visits": ([], []),
        "counts": {},
        "refused": frozenset(),
        "segments": {},
        "rules": [],
        "end": NOON + HOUR,
    }
    return Gathered(**(known | more))


def settings(credit: str = "last", holdout: float = 0.0) -> Settings:
    policy = PolicySettings(consent_default=True, holdout=holdout)
    return Settings(core=CoreSettings(policy=policy, credit=credit))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("credit", "expected"),
    [("last", {"a": 0, "b": 1}), ("first", {"a": 1, "b": 0}), ("linear", {"a": 0.5, "b": 0.5})],
)
def test_a_purchase_is_put_down_as_the_setting_says(
    credit: str, expected: dict[str, float]
) -> None:
    offers = {
        "o1": made(1, "anna", NOON, campaign="a"),
        "o2": made(2, "anna", NOON + 1, campaign="b"),
        "o3": made(3, "anna", NOON + 2, ("cup",), campaign="b"),
        "o4": made(4, "otto", NOON + 3, campaign="b"),
    }
    orders = [Order("anna", NOON + 9, {"tea": 500})]
    shown = {key: offer.issued for key, offer in offers.items()}
    told = report(
        facts(offers=offers, orders=orders, seen={**NOTHING, Response.IMPRESSION: shown}),
        settings(credit),
        None,
    )
    found = {one["campaign"]: one for one in told["campaigns"]}
    assert {name: one["converted"] for name, one in found.items()} == expected
    assert told["funnel"]["revenue_minor"] == pytest.approx(500)
    assert {name: one["revenue_minor"] for name, one in found.items()} == pytest.approx(
        {name: 500 * share for name, share in expected.items()}
    )


def test_what_was_not_seen_or_too_long_ago_is_put_down_to_nobody() -> None:
    offers = {"o1": made(1, "anna", NOON), "o2": made(2, "otto", NOON)}
    late = Order("otto", NOON + 25 * HOUR, {"tea": 500})
    orders = [Order("anna", NOON + 9, {"tea": 500}), late]
    seen = {**NOTHING, Response.IMPRESSION: {"o2": NOON}}
    told = report(facts(offers=offers, orders=orders, seen=seen), settings(), None)
    assert told["funnel"]["converted"] == 0 and told["funnel"]["shown"] == 1
    assert told["seen_by"] == "impressions"


def test_shares_sum_to_one_or_to_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(200):
        touches = rng.integers(0, 20, rng.integers(0, 6)).tolist()
        for credit in CREDITS:
            total = sum(shares(touches, 15, 10, credit))
            assert total == pytest.approx(float(any(5 <= touch <= 15 for touch in touches)))


def test_a_lift_is_told_from_none_and_none_from_a_lift(seed: int) -> None:
    rng = np.random.default_rng(seed)
    core = settings(holdout=0.2).core
    people = [f"c{n}" for n in range(20_000)]
    for lift, told_apart in ((0.06, True), (0.0, False)):
        orders = []
        for who in people:
            offered = arm_of(who, core.seed, core.policy) != CONTROL
            if rng.random() < 0.05 + lift * offered:
                orders.append(Order(who, NOON + 9, {"tea": 700}))
        told = report(
            facts(orders=orders, visits=(people, [NOON] * len(people))),
            settings(holdout=0.2),
            None,
        )["experiment"]
        found = told["lift"]["conversion"]
        assert found["excludes_zero"] is told_apart
        assert found["interval"][0] <= lift <= found["interval"][1]
        assert not told["sample_ratio_mismatch"] and not told["guardrail"]


def test_arms_of_other_sizes_and_an_arm_that_hurts_are_said() -> None:
    core = settings(holdout=0.5).core
    people = [f"c{n}" for n in range(30_000)]
    control = [who for who in people if arm_of(who, core.seed, core.policy) == CONTROL]
    held = set(control)
    few = [*control, *[who for who in people if who not in held][:10_000]]
    orders = [Order(who, NOON + 9, {"tea": 1}) for who in control[::8]]
    given = facts(orders=orders, visits=(few, [NOON] * len(few)))
    told = report(given, settings(holdout=0.5), None)
    assert told["experiment"]["sample_ratio_mismatch"]
    assert "hurts conversion" in told["experiment"]["guardrail"][0]
    text = page(told)
    assert "not of the sizes that were meant" in text and "hurts conversion" in text


def test_the_holdout_is_seen_in_what_was_decided() -> None:
    visit = 2 * HOUR
    moments = [
        SampledDecision("anna", NOON, "holdout", "holdout", 0.5),
        SampledDecision("anna", NOON + SECOND, "holdout", "holdout", 0.5),
        SampledDecision("anna", NOON + visit, "holdout", "quiet_hours", 0.5),
        SampledDecision("otto", NOON, "offer", "", 0.5),
        SampledDecision("otto", NOON + SECOND, "offer", "offer_gap", 0.5),
        SampledDecision("nora", NOON, "", "consent", 0.5),
        SampledDecision("emil", NOON - 48 * HOUR, "offer", "", 0.5),
    ]
    orders = [Order("otto", NOON - 1, {"tea": 1}), Order("anna", NOON + 1, {"tea": 1})]
    given = facts(moments=moments, orders=orders)
    told = report(given, settings(), 86_400)["decisions"]
    assert told["arms"]["holdout"] == {
        "customers": 1,
        "visits": 2,
        "moments": 3,
        "offers": 0,
        "bought": 1,
        "refused": {"holdout": 2, "quiet_hours": 1},
    }
    treated = told["arms"]["offer"]
    assert (treated["customers"], treated["offers"], treated["bought"]) == (1, 1, 0)
    assert (told["customers"], told["moments"], told["not_allowed"]) == (3, 6, 1)
    assert "What was decided" in page(report(given, settings(), None))
    assert report(facts(), settings(), None)["decisions"] is None


def test_who_refuses_is_in_no_arm() -> None:
    given = facts(visits=(["a", "b"], [NOON, NOON]), refused=frozenset("a"))
    told = report(given, settings(holdout=0.5), None)
    assert sum(arm["customers"] for arm in told["experiment"]["arms"].values()) == 1


def test_what_is_before_the_period_counts_only_as_before() -> None:
    offers = {"o1": made(1, "anna", NOON - 48 * HOUR), "o2": made(2, "anna", NOON)}
    told = report(facts(offers=offers), settings(), 86_400)
    assert told["funnel"]["offers"] == 1 and told["from"] >= NOON - 24 * HOUR


def test_the_model_is_held_to_what_was_seen(seed: int) -> None:
    rng = np.random.default_rng(seed)
    offers, orders = {}, []
    for n in range(3_000):
        score = float(rng.beta(2, 10))
        one = made(n, f"c{n}", NOON)._replace(scores=(score,))
        offers[one.offer_id] = one
        if rng.random() < score:
            orders.append(Order(one.customer, NOON + 5, {"tea": 100}))
    seen = {**NOTHING, Response.IMPRESSION: dict.fromkeys(offers, NOON)}
    model = report(facts(offers=offers, orders=orders, seen=seen), settings(), None)["model"]
    assert model["calibration_ratio"] == pytest.approx(1.0, abs=0.2)
    assert len(model["bins"]) == 10 and model["auc"] > 0.55
    unseen = report(facts(offers=offers, orders=orders), settings(), None)
    assert unseen["model"]["calibration_ratio"] is None and unseen["seen_by"] == "emissions"


def test_the_page_needs_nothing_from_elsewhere_and_escapes_what_the_log_says() -> None:
    bad = "<script>alert(1)</script>"
    offers = {"o1": made(1, "anna", NOON, campaign=bad), "o2": made(2, "anna", NOON + 26 * HOUR)}
    given = facts(
        offers=offers,
        counts={"applied": 3, "denied:offer_gap": 2},
        segments={None: 1, 3: 2},
        rules=[{"lift": 2.0, "if": [bad], "then": ["cup"]}],
        end=NOON + 30 * HOUR,
    )
    text = page(report(given, settings(holdout=0.1), None))
    assert bad not in text and "&lt;script&gt;" in text
    addresses = re.findall(r"(?:src|href|url)\s*[=(]", text)
    assert not addresses
    assert set(re.findall(r"https?://[^\s\"<]+", text)) <= {"http://www.w3.org/2000/svg"}
    assert "Day by day" in text and "offer gap" in text
    for svg in re.findall(r"<svg.*?</svg>", text, re.S):
        ET.fromstring(svg)
    assert orjson.loads(orjson.dumps(report(given, settings(), None)))


async def test_a_log_of_an_engine_is_reported(tmp_path: Path) -> None:
    policy = replace(OPEN, offer_gap=60.0, offers_per_day=24)
    settings = settings_in(tmp_path, 2, policy, decisions_share=1.0)
    async with running(settings) as engine:
        pairs = [
            a_click(n, f"c{n // 2}", ("tea", "cup")[n % 2], time=NOON + n * SECOND)
            for n in range(60)
        ]
        await engine.publish([publication(event) for event in pairs])
        await engine.settle()
        await engine.publish([publication(a_click(100, "new", "tea"))])
        await engine.settle()
        mine = [json.loads(offer) for offer in engine.drain_offers()]
        offer = next(one for one in mine if one["customer_id"] == "new")
        item = offer["items"][0]["product_id"]
        answers: list[Event] = [
            an_impression(101, offer["offer_id"], "new"),
            an_impression(102, offer["offer_id"], "c1"),  # another customer's: is none
            an_impression(103, "never-made", "new"),
            a_purchase(104, "new", item),
        ]
        await engine.publish([publication(event) for event in answers])
        await engine.settle()
    given = ["--broker", settings.broker, "--set", "partitions=2", "--set", "topics.prefix=shop."]
    html = tmp_path / "page.html"
    told = await asyncio.to_thread(
        CliRunner().invoke, command, [*given, "--json", "--html", str(html)]
    )
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    assert found["funnel"]["offers"] == len(mine)
    assert found["funnel"]["shown"] == 1 and found["funnel"]["converted"] == 1
    assert found["funnel"]["revenue_minor"] == 1_000
    assert "Campaigns" in html.read_text() and "What was decided" in html.read_text()
    decided = found["decisions"]
    assert decided["share"] == 1 and decided["customers"] == 31
    assert decided["arms"]["offer"]["offers"] == len(mine)
    assert sum(decided["arms"]["offer"]["refused"].values()) == sum(found["suppressed"].values())
    words = await asyncio.to_thread(CliRunner().invoke, command, [*given, "--since", "7d"])
    assert "default / offer" in words.stdout
    assert "Every decision of 100 % of customers:" in words.stdout


def test_faults_are_named(tmp_path: Path) -> None:
    broker = ["--broker", f"local://{tmp_path / 'log'}"]
    wrong = CliRunner().invoke(command, [*broker, "--since", "yesterday"])
    assert isinstance(wrong.exception, ConfigError) and "12h, 7d or 4w" in str(wrong.exception)
    absent = CliRunner().invoke(command, broker)
    assert isinstance(absent.exception, ConfigError) and "no local log" in str(absent.exception)
    verify(Settings(broker=broker[1], data_dir=tmp_path / "data"))
    empty = CliRunner().invoke(command, broker)
    assert isinstance(empty.exception, ConfigError) and "no event" in str(empty.exception)

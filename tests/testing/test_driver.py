"""The driver for tests: what it promises to a shop that tests its campaigns."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner

from stream.cli import main
from stream.config import ConfigError, Settings
from stream.decide.rows.layout import LARGEST
from stream.insight.explaining import Verdict
from stream.testing import Driver, Refusal
from stream.testing.background import Background
from stream.testing.driver import START
from stream.testing.posting import moment
from stream.testing.ticking import next_due

CAMPAIGN = {"campaign_id": "spring", "name": "Spring", "discount_percent": 10}
REMINDER = {"campaign_id": "basket", "name": "Basket", "strategy": {"reminder": {"after": "2h"}}}
GOODS = [
    {
        "product_id": f"p{n}",
        "name": f"Pot {n}",
        "price": "19.90",
        "added_at": "2026-01-01T00:00:00Z",
    }
    for n in range(6)
]


@pytest.fixture
def shop() -> Iterator[Driver]:
    with Driver(campaigns=[CAMPAIGN, REMINDER], catalog=GOODS) as shop:
        yield shop


def a_history(seed: int, size: int) -> list[tuple[str, dict[str, Any]]]:
    """Some customers' clicks and orders, a few of which are refused."""
    chance, events = random.Random(seed), []
    for n in range(size):
        said = {
            "event_id": f"e{n}",
            "customer_id": f"c{chance.randrange(9)}",
            "timestamp": round(START.timestamp() * 1000) + n * 40_000,
            "consent": {"profiling": True, "offers": True},
        }
        item = f"p{chance.randrange(6)}"
        if chance.random() < 0.8:
            action = chance.choice(["view", "add_to_cart", "gaze"])
            events.append(("clicks", said | {"event": action, "product_id": item}))
        else:
            lines = [{"product_id": item}]
            order = {"event": "purchase", "order_id": f"o{n}", "products": lines}
            events.append(("purchases", said | order))
    return events


@pytest.mark.parametrize("partitions", [1, 3])
def test_the_same_events_give_the_same_bytes(partitions: int, seed: int) -> None:
    events, lives = a_history(seed, 24), []
    options = {"partitions": partitions, "core.policy.exploration": 0.3}
    for _ in range(2):
        with Driver(options, campaigns=[CAMPAIGN, REMINDER], catalog=GOODS) as shop:
            for topic, event in events:
                shop.publish(topic, event)
            shop.publish("clicks", b"{")
            shop.advance(hours=3)
            lives.append(
                (
                    [offer.raw for offer in shop.offers()],
                    [(one.key, one.value) for one in shop.read("decisions")],
                    [one.value for one in shop.read("examples")],
                    [shop.customer(f"c{n}") for n in range(9)],
                    shop.refusals(),
                    shop.counts(),
                    shop.models(),
                )
            )
    assert lives[0] == lives[1]
    offers, decisions, examples, customers, refusals, *_ = lives[0]
    assert len(offers) > 3
    assert decisions and examples and refusals
    assert any(customers)


def test_an_offer_is_read_once_with_its_bytes_and_is_open_until_it_expires(shop: Driver) -> None:
    shop.consent("anna")
    assert shop.view("anna", "p1")["offers"] == 1
    (offer,) = shop.offers()
    assert shop.offers() == []
    assert (offer.campaign_id, offer.customer_id) == ("spring", "anna")
    assert offer.products == [item["product_id"] for item in offer.json["items"]]
    assert offer.json == orjson.loads(offer.raw)
    assert offer.incentive == {"kind": "percent", "percent": 10}
    assert shop.open_offers("anna") == [offer]
    assert shop.explain(offer).verdict is Verdict.SAME
    shop.advance(minutes=61)
    assert shop.open_offers("anna") == []


def test_why_there_is_no_offer_is_told_at_once(shop: Driver) -> None:
    assert shop.view("anna", "p1") == Counter({"applied": 1, "denied:consent": 1})
    shop.consent("anna")
    shop.view("anna", "p1")
    assert shop.view("anna", "p2")["denied:offer_gap"] == 1
    last = [one.json for one in shop.read("decisions")][-1]
    assert (last["outcome"], last["reason"]) == ("refused", "offer_gap")


def test_a_customer_is_told_as_the_command_tells_it(shop: Driver) -> None:
    shop.consent("anna")
    shop.view("anna", "p1")
    shop.tell("anna", traits={"tier": "gold"})
    known = shop.customer("anna")
    assert known is not None
    assert known["traits"] == {"tier": "gold"}
    assert [offer["campaign_id"] for offer in known["open_offers"]] == ["spring"]
    with shop.copy() as settings:
        options = [
            f"--broker={settings.broker}",
            "--set=partitions=1",
            "--set=core.policy.holdout=0",
        ]
        sampled = "--set=core.decisions_share=1"
        done = CliRunner().invoke(main, ["customer", "anna", "--json", *options, sampled])
        assert done.exit_code == 0, done.output
    assert orjson.loads(done.stdout) == known
    assert shop.customer("nobody") is None


# ------------------------------------------------------------------------------------------ events


def test_events_in_any_envelope_are_taken_with_the_key_of_their_customer(shop: Driver) -> None:
    native = {"event_id": "e1", "customer_id": "anna", "timestamp": "2026-01-05T12:00:01Z",
              "event": "view", "product_id": "p1"}  # fmt: skip
    cloud = {"specversion": "1.0", "id": "e2", "type": "shop.view", "time": "2026-01-05T12:00:02Z",
             "source": "/web", "data": {"customer_id": "anna", "product_id": "p2"}}  # fmt: skip
    call = {"messageId": "e3", "userId": "anna", "timestamp": "2026-01-05T12:00:03Z",
            "event": "Product Viewed", "properties": {"product_id": "p3"}}  # fmt: skip
    binary = (("ce_specversion", b"1.0"), ("ce_id", b"e4"), ("ce_type", b"shop.view"),
              ("ce_source", b"/web"), ("ce_time", b"2026-01-05T12:00:04Z"))  # fmt: skip
    shop.consent("anna")
    assert shop.publish("clicks", native)["applied"] == 1
    assert shop.publish("clicks", orjson.dumps(cloud))["applied"] == 1
    assert shop.publish("clicks", call)["applied"] == 1
    assert shop.publish("clicks", cloud["data"], headers=binary)["applied"] == 1  # type: ignore[arg-type]
    assert shop.publish("clicks", native)["duplicate"] == 1
    known = shop.customer("anna")
    assert known is not None
    assert known["views"] == 4
    assert shop.now == datetime(2026, 1, 5, 12, 0, 4, tzinfo=UTC)
    assert shop.refusals() == []


@pytest.mark.parametrize(
    ("event", "options", "code"),
    [
        (b"{", {}, "decode"),
        ({"customer_id": "anna"}, {}, "schema"),
        ({"event": "gaze"}, {}, "schema"),
        ({}, {"key": None}, "null_key"),
        ({}, {"key": "bert"}, "key_mismatch"),
        (None, {"key": "anna"}, "tombstone"),
        ({"timestamp": "2026-01-05T13:00:00Z"}, {"at": START}, "future_time"),
        ({"timestamp": "2026-01-01T13:00:00Z"}, {}, "late"),
        ({"price": -1}, {}, "value_range"),
    ],
)
def test_what_is_refused_comes_back_with_its_reason(
    refusing: Driver, event: Any, options: dict[str, Any], code: str
) -> None:
    good = {"event_id": f"e-{code}", "customer_id": "anna", "event": "view", "product_id": "p1"}
    good["timestamp"] = "2026-01-05T12:00:00Z"
    if isinstance(event, dict) and event != {"customer_id": "anna"}:
        event = good | event
    became = refusing.publish("clicks", event, **options)
    (refusal,) = refusing.refusals()
    assert refusal.code == code
    assert refusal.message
    assert became["late" if code == "late" else f"rejected:{code}"] == 1
    sent = event if isinstance(event, bytes | None) else orjson.dumps(event)
    assert refusal.value == sent
    assert refusing.refusals() == []


@pytest.fixture(scope="module")
def refusing() -> Iterator[Driver]:
    with Driver() as shop:
        shop.view("carl", "p1")
        yield shop


def test_a_campaign_or_a_product_that_is_none_is_a_refusal_too(shop: Driver) -> None:
    shop.publish("campaigns", {"campaign_id": "spring", "name": "Spring", "discount": 10})
    shop.publish("catalog", {"product_id": "p9", "prize": 1})
    told = shop.refusals()
    assert {one.topic for one in told} == {"campaigns", "catalog"}
    assert all("price" in one.message or "discount" in one.message for one in told), told
    assert all(isinstance(one, Refusal) for one in told)


def test_a_campaign_is_in_force_from_the_next_event_on(shop: Driver, tmp_path: Path) -> None:
    for name in ("anna", "bert", "carl", "dora"):
        shop.consent(name)
    shop.view("anna", "p1")
    shop.apply([CAMPAIGN | {"discount_percent": 20}])
    shop.view("bert", "p1")
    (tmp_path / "vip.yaml").write_text("name: VIP\npriority: 9\n", encoding="utf-8")
    shop.apply(tmp_path)
    shop.view("carl", "p1")
    shop.publish("campaigns", None, key="vip")
    shop.view("dora", "p1")
    made = [(one.customer_id, one.campaign_id, one.discount_percent) for one in shop.offers()]
    assert made == [
        ("anna", "spring", 10), ("bert", "spring", 20), ("carl", "vip", 0), ("dora", "spring", 20)
    ]  # fmt: skip


def test_many_events_are_published_in_one_go_and_come_in_their_order(shop: Driver) -> None:
    clicks = [event for topic, event in a_history(3, 60) if topic == "clicks"]
    history = clicks[: max(n for n, one in enumerate(clicks) if one["event"] != "gaze") + 1]
    became = shop.publish_all(("clicks", event) for event in history)
    assert became["applied"] + became["rejected"] == len(history)
    assert shop.now.timestamp() * 1000 == history[-1]["timestamp"]
    touched = Counter(event["customer_id"] for event in history if event["event"] != "gaze")
    for name, views in touched.items():
        known = shop.customer(name)
        assert known is not None
        assert len(known["recent"]) == views


# -------------------------------------------------------------------------------------------- time


@pytest.mark.parametrize("partitions", [1, 2])
def test_reminders_come_each_at_its_time_when_time_passes(partitions: int) -> None:
    names = [f"c{n}" for n in range(130)]  # more at once than one customer's flood
    options = {"partitions": partitions}
    with Driver(options, campaigns=[REMINDER], catalog=GOODS) as shop:
        time = round(START.timestamp() * 1000) + 5_000
        cart = {
            "event_id": "e",
            "timestamp": time,
            "event": "add_to_cart",
            "product_id": "p1",
            "consent": {"profiling": True, "offers": True},
        }
        shop.publish_all(("clicks", cart | {"customer_id": name}) for name in names)
        assert {offer.campaign_id for offer in shop.offers()} == {"default"}  # at the visit
        assert shop.advance(minutes=119) == Counter()
        assert shop.offers() == []
        became = shop.advance(hours=6)
        assert became == Counter({"offers": len(names)})
        offers = shop.offers()
        assert sorted(offer.customer_id for offer in offers) == sorted(names)
        due = datetime.fromtimestamp(time / 1000, UTC) + timedelta(hours=2)
        assert {offer.issued_at for offer in offers} == {due}
        assert {offer.trigger["kind"] for offer in offers if offer.trigger} == {"timer"}
        assert shop.now == START + timedelta(seconds=5, minutes=119, hours=6)


def test_who_waits_for_a_label_is_looked_at_when_it_is_due() -> None:
    with Driver(campaigns=[CAMPAIGN], catalog=GOODS) as shop:
        shop.consent("anna")
        shop.view("anna", "p1")
        due = next_due(shop._running, 0)
        shop.advance(to=moment(due - 1_000))
        assert next_due(shop._running, 0) == due
        shop.advance(seconds=1)
        assert next_due(shop._running, 0) == LARGEST  # nobody waits any more


def test_who_lets_time_pass_is_neither_profiled_nor_offered_anything() -> None:
    with Driver({"core.policy.consent_default": True}, campaigns=[CAMPAIGN, REMINDER]) as shop:
        shop.advance(hours=1)
        shop.advance(to=START + timedelta(days=40))
        assert shop.offers() == []
        assert shop.models().examples == 0
        assert shop.read("examples") == []
        known = shop.customer("offerstream.testing.0")
        assert known is not None
        assert known["consent"] == {"profiling": False, "offers": False}
        assert set(shop.counts()) == {"applied"}


# ------------------------------------------------------------------------------ permission, budget


def test_a_withdrawal_recalls_what_is_open_and_ends_all_offers(shop: Driver) -> None:
    shop.consent("anna")
    shop.view("anna", "p1")
    (offer,) = shop.offers()
    assert shop.consent("anna", profiling=False, offers=False)["recalls"] == 1
    (recall,) = shop.recalls()
    assert (recall.offer_id, recall.reason) == (offer.offer_id, "withdrawal")
    assert shop.open_offers("anna") == []
    shop.advance(hours=1)
    assert shop.view("anna", "p2")["denied:consent"] == 1


def test_an_erased_customer_is_gone_and_comes_back_as_somebody_new(shop: Driver) -> None:
    shop.consent("anna")
    shop.view("anna", "p1")
    shop.advance(minutes=1)
    assert shop.customers() == ["anna"]
    shop.erase("anna")
    assert (shop.customers(), shop.customer("anna")) == ([], None)
    assert [one.reason for one in shop.recalls()] == ["withdrawal"]
    shop.restart()
    assert shop.customer("anna") is None
    shop.consent("anna")
    shop.view("anna", "p2")
    known = shop.customer("anna")
    assert known is not None
    assert (known["views"], known["offers"]) == (1, 1)
    shop.erase("anna")
    assert shop.advance(days=4) == Counter()  # what is left of the erasure is forgotten, too


def test_a_budget_is_kept() -> None:
    campaign = CAMPAIGN | {"budget": {"offers": 3}}
    with Driver(campaigns=[campaign], catalog=GOODS) as shop:
        made = Counter[str]()
        for n in range(8):
            shop.consent(f"c{n}")
            made += shop.view(f"c{n}", "p1")
        assert made["offers"] == 3
        assert made["passed:budget"] == 5
        assert {offer.set_aside for offer in shop.offers()} == {1}


# ----------------------------------------------------------------------------------------- its use


def test_a_shop_is_gone_on_with_in_its_directory(tmp_path: Path) -> None:
    with Driver(campaigns=[CAMPAIGN], catalog=GOODS, directory=tmp_path) as shop:
        shop.consent("anna")
        shop.view("anna", "p1")
        known = shop.customer("anna")
        later = shop.now
    with Driver(directory=tmp_path, start=later) as shop:
        assert shop.customer("anna") == known
        (offer,) = shop.offers()
        assert offer.campaign_id == "spring"


async def test_it_is_used_where_an_event_loop_runs_already() -> None:
    with Driver(campaigns=[CAMPAIGN]) as shop:
        shop.consent("anna")
        assert shop.customer("anna") is not None


def test_settings_of_a_file_or_as_values_are_taken_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "shop.toml"
    file.write_text("partitions = 2\n[core.policy]\nholdout = 0.25\n", encoding="utf-8")
    for given in (file, str(file)):
        with Driver(given) as shop:
            assert (shop.settings.partitions, shop.settings.core.policy.holdout) == (2, 0.25)
            assert shop.settings.core.policy.exploration == Settings().core.policy.exploration
    with Driver(Settings(broker="kafka://127.0.0.1:1", partitions=3)) as shop:
        assert shop.settings.partitions == 3
        assert shop.settings.embedded_log is not None


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"settings": {"core.policy.offer_gab": 1}}, "did you mean core.policy.offer_gap"),
        ({"settings": {"core.policy.holdout": 2}}, "it must be a number from 0 to 1"),
        ({"settings": "nowhere.toml"}, "nowhere.toml"),
        ({"campaigns": "nowhere"}, "campaigns: cannot read nowhere: No such file"),
        (
            {"campaigns": [{"campaign_id": "a", "name": "A", "priorty": 1}]},
            "'a': .*: /priority is nearest",
        ),
        ({"campaigns": ["spring"]}, "a campaign is an object of fields, not str"),
        ({"catalog": [{"product_id": "p", "price": "free"}]}, "product 'p': /price"),
        ({"catalog": [{"product_id": "p", "price": object()}]}, "a product is no JSON"),
        ({"start": datetime(2026, 1, 1)}, "has no time zone"),  # noqa: DTZ001
    ],
)
def test_a_shop_that_cannot_be_opened_is_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError, match=line.replace("(", r"\(")) as caught, Driver(**options):
        pass
    assert "\n" not in str(caught.value)
    assert "command line" not in str(caught.value)


def test_wrong_use_is_one_line(shop: Driver) -> None:
    with pytest.raises(ConfigError, match="no topic 'click'; did you mean 'clicks'"):
        shop.publish("click", {})
    with pytest.raises(ConfigError, match="no topic 'descisions'; did you mean 'decisions'"):
        shop.read("descisions")
    with pytest.raises(ConfigError, match="'offers' is written by the worker; publish to clicks"):
        shop.publish("offers", {})
    with pytest.raises(ConfigError, match="the event is no JSON"):
        shop.publish("clicks", {"a": object()})
    with pytest.raises(ConfigError, match="cannot advance by hour: say days"):
        shop.advance(hour=1)
    with pytest.raises(ConfigError, match="advance to a moment, or by"):
        shop.advance()
    with pytest.raises(ConfigError, match="time goes on, not back: it is 2026-01-05"):
        shop.advance(hours=-1)
    with pytest.raises(RuntimeError, match="use it with 'with'"):
        Driver().offers()


def test_a_call_that_does_not_end_is_ended() -> None:
    loop = Background(0.01)
    try:
        with pytest.raises(TimeoutError, match=r"a long sleep did not come in 0.01 s \(patience\)"):
            loop.run(asyncio.sleep(3_600), "a long sleep")
    finally:
        loop.close()

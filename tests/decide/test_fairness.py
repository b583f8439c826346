"""Groups that are compared steer nothing: no feature, no audience; and few people are not shown."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pytest

from stream.codec.reference import ReferenceDecoder
from stream.codec.reference import ReferenceEntry as Read
from stream.codec.schema import load_schemas
from stream.config import ConfigError, CoreSettings
from stream.decide.fairness import Member
from stream.decide.ledger import EXAMPLES, OFFER, Entry
from stream.domain.event import Campaign, Event, Rejection, Source
from stream.host.environment import load
from stream.worker.telemetry.comparing import MOST, Comparing, GroupCount
from tests.builders import NOON, OPEN, SECOND, a_click, a_world, an_update, consent
from tests.tableless import Tableless

GROUPS = ("age_band", "vip")
BUSY = replace(OPEN, offer_gap=60.0, offers_per_day=24, holdout=0.2)


def history(ages: str) -> list[Entry]:
    """Clicks of customers of whom an age is told, which is the same for all."""
    events: list[tuple[Source, Event]] = []
    for n in range(120):
        customer, time = f"c{n % 12}", NOON + n * 20 * SECOND
        if n < 12:
            told = an_update(n, customer, time=time, traits=(("age_band", ages),))
            events.append((Source.CUSTOMERS, told))
        else:
            events.append((Source.CLICKS, a_click(n, customer, f"i{n % 7}", time=time)))
    return [Entry(source, n, event) for n, (source, event) in enumerate(events)]


def decided(ages: str, groups: tuple[str, ...] = GROUPS) -> tuple[Tableless, list[Member]]:
    campaign = Campaign("all", "All", discount=10)
    world = a_world(BUSY, fairness_groups=groups)._replace(campaigns=(campaign,))
    partition = Tableless(world)
    batch = partition.decide(history(ages))
    return partition, batch.members


def test_what_a_group_is_changes_no_offer_and_no_lesson() -> None:
    young, old = decided("18-29")[0], decided("65 and more")[0]
    for kind in (OFFER, EXAMPLES):
        told = [[e.payload for e in one.effects if e.kind == kind] for one in (young, old)]
        assert told[0] and told[0] == told[1]


def test_moments_of_a_group_are_noted_with_what_came_of_them() -> None:
    partition, members = decided("18-29")
    assert {(member.group, member.value) for member in members} == {("age_band", "18-29")}
    offers = partition.ledger.counts["offers"]
    assert sum(member.offered for member in members) == offers > 0
    assert sum(member.incentive for member in members) == offers
    held_out = Counter(partition.ledger.counts)["denied:holdout"]
    assert held_out, "who is held out is treated by nobody, and does not count"
    assert {m.customer_id for m in members} < {f"c{n}" for n in range(12)}
    assert decided("18-29", ())[1] == []


def campaign(audience: dict[str, Any]) -> bytes:
    said = {"schema_version": 1, "campaign_id": "a", "name": "A", "audience": audience}
    return orjson.dumps(said)


@pytest.mark.parametrize(
    ("audience", "place"),
    [
        ({"traits": {"age_band": "18-29"}}, "/audience/traits/age_band"),
        ({"traits": {"tier": "gold", "vip": True}}, "/audience/traits/vip"),
        ({"any_of": [{"traits": {"tier": 1}}, {"traits": {"vip": [True]}}]}, "/audience/any_of/1"),
        ({"none_of": [{"any_of": [{"traits": {"age_band": {"min": 3}}}]}]}, "/audience/none_of/0"),
    ],
)
def test_no_campaign_may_ask_for_a_group(audience: dict[str, Any], place: str) -> None:
    schemas = load_schemas()
    fair = ReferenceDecoder(schemas, CoreSettings(fairness_groups=GROUPS))
    refused = fair.decode_campaign(b"a", campaign(audience))
    assert isinstance(refused, Rejection)
    assert refused.detail.startswith(place) and "core.fairness_groups" in refused.detail
    any_other = ReferenceDecoder(schemas, CoreSettings())
    assert isinstance(any_other.decode_campaign(b"a", campaign(audience)), Read)


def test_other_traits_may_be_asked_for() -> None:
    fair = ReferenceDecoder(load_schemas(), CoreSettings(fairness_groups=GROUPS))
    audience = {"traits": {"tier": "gold"}, "none_of": [{"traits": {"city": "Kiel"}}]}
    assert isinstance(fair.decode_campaign(b"a", campaign(audience)), Read)


def test_groups_are_given_as_a_list_or_with_commas() -> None:
    text = load(environ={"OFFERSTREAM_CORE__FAIRNESS_GROUPS": "age_band, vip"})
    assert text.settings.core.fairness_groups == GROUPS
    none = load(environ={"OFFERSTREAM_CORE__FAIRNESS_GROUPS": ""})
    assert none.settings.core.fairness_groups == ()
    listed = load(environ={}, options={"core.fairness_groups": list(GROUPS)})
    assert listed.settings.core.fairness_groups == GROUPS


@pytest.mark.parametrize("groups", ["vip,vip", "vip,", ",".join("abcdefghi")])
def test_groups_that_are_none_are_refused_in_one_line(groups: str) -> None:
    with pytest.raises(ConfigError, match=r"core\.fairness_groups .*each once"):
        load(environ={}, options={"core.fairness_groups": groups})


def test_few_people_are_not_shown_and_what_was_counted_of_them_is_shown_later() -> None:
    groups = Comparing(3)
    assert not list(groups.note([Member("anna", "age", "30", True, True)] * 50))
    assert not list(groups.note([Member("otto", "age", "30", False, False)]))
    (shown,) = groups.note([Member("nora", "age", "30", True, False)])
    assert shown == GroupCount("age", "30", 52, 51, 50)
    (more,) = groups.note([Member("nora", "age", "30", True, False)])
    assert more == GroupCount("age", "30", 1, 1, 0)


def test_labels_are_bounded_whatever_producers_send() -> None:
    groups = Comparing(1)
    members = [Member("anna", "age", f"{n}", False, False) for n in range(5 * MOST)]
    shown = list(groups.note(members))
    assert len(shown) == MOST + 1
    assert shown[-1] == GroupCount("age", "other", 4 * MOST, 0, 0)


def test_a_no_takes_a_customer_out_of_all_groups() -> None:
    partition = Tableless(a_world(BUSY, fairness_groups=GROUPS))
    partition.decide(history("18-29"))
    no = an_update(500, "c1", time=NOON + 9_000 * SECOND, consent=consent(False))
    click = a_click(501, "c1", "i1", time=NOON + 9_001 * SECOND)
    batch = partition.decide([Entry(Source.CUSTOMERS, 500, no), Entry(Source.CLICKS, 501, click)])
    assert batch.members == []

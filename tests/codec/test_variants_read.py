"""Variants of a campaign as they are written, and what is refused of them, with its place."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from stream.codec.campaigns import read_campaign
from stream.codec.reference import ReferenceDecoder, ReferenceEntry
from stream.codec.schema import load_schemas
from stream.config import CoreSettings
from stream.domain.campaign import By, Choosing, Goal
from stream.domain.event import Campaign

TWO = [{"name": "a"}, {"name": "b", "incentive": {"percent": 5}}]


def read(**fields: Any) -> Campaign:
    return read_campaign({"campaign_id": "c", "name": "C", **fields})


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"choose": "bandit"}, "/variants is missing"),
        ({"variants": [{"name": "a"}, {"name": "a"}]}, "/variants/1/name"),
        ({"variants": TWO, "strategy": {"reminder": {"after": "2h"}}}, "/choose must be evenly"),
        (
            {
                "variants": [{"name": "a"}, {"name": "b", "strategy": "upsell"}],
                "strategy": {"win_back": {"idle": "30d"}},
                "choose": "evenly",
            },
            "/variants/1/strategy",
        ),
        ({"variants": [{"name": "a"}, {"name": "b", "strategy": "rules"}]}, "/rules is missing"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(fields: dict[str, Any], place: str) -> None:
    decoder = ReferenceDecoder(load_schemas(), CoreSettings())
    value = orjson.dumps({"campaign_id": "c", "name": "C", **fields})
    entry = decoder.decode_campaign(b"c", value)
    assert not isinstance(entry, ReferenceEntry) and entry.detail.startswith(place)


def test_how_to_choose_may_be_left_out_or_said_in_a_word() -> None:
    assert read(variants=TWO).choosing == Choosing(By.BANDIT, Goal.PURCHASES, 0.05, 1)
    assert read(variants=TWO, choose="evenly").choosing.by is By.EVENLY
    assert read(variants=TWO, choose={"goal": "revenue"}).choosing.goal is Goal.REVENUE


def test_another_edition_begins_with_other_variants_or_another_version_alone() -> None:
    first = read(variants=TWO)
    same = read(variants=TWO, priority=9, choose={"floor": 0.2, "goal": "revenue"})
    others = [
        read(variants=TWO, choose={"version": 2}),
        read(variants=[TWO[0], {"name": "b", "incentive": {"percent": 6}}]),
        read(variants=[*TWO, {"name": "c"}]),
    ]
    assert first.edition == same.edition
    assert len({first.edition, *(other.edition for other in others)}) == 4

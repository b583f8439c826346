"""Offers: their bytes keep the contract, and are the same for the same offer."""

from __future__ import annotations

import copy

import orjson
import pytest
from msgspec import structs

from stream.codec.offers import encode_offer
from stream.domain.event import Source
from stream.domain.offer import Cause, Offer, OfferItem, Origin
from tests.codec.producing import TIME, schemas

OFFER = Offer(
    offer_id="of1",
    customer_id="c1",
    campaign_id="k1",
    strategy="recommend",
    ladder="personal",
    items=(
        OfferItem("p1", 0.0812, Origin.BASKET, "p7", 39900),
        OfferItem("p2", 0.0, Origin.TRENDING),
    ),
    discount=10,
    currency="EUR",
    arm="treated",
    assignment_probability=0.95,
    explored=False,
    segment=3,
    segment_name="frugal",
    models=(("propensity", 17),),
    learned_through=12,
    issued=TIME,
    expires=TIME + 3_600_000,
    cause=Cause(Source.FEEDBACK, 3, 17, 5),
)


def test_every_field_has_its_place() -> None:
    assert orjson.loads(encode_offer(OFFER)) == {
        "schema_version": 1,
        "offer_id": "of1",
        "customer_id": "c1",
        "campaign_id": "k1",
        "strategy": "recommend",
        "ladder": "personal",
        "items": [
            {
                "product_id": "p1",
                "score": 0.0812,
                "source": "bought_together",
                "reason": "often bought together with p7",
                "because": "p7",
                "price_minor": 39900,
                "final_price_minor": 35910,
            },
            {
                "product_id": "p2",
                "score": 0.0,
                "source": "trending",
                "reason": "popular right now",
            },
        ],
        "discount_percent": 10,
        "currency": "EUR",
        "arm": "treated",
        "assignment_probability": 0.95,
        "explored": False,
        "segment": {"id": 3, "name": "frugal"},
        "models": {"propensity": 17},
        "learned_through": 12,
        "issued_at": "2024-05-01T09:30:00.250Z",
        "expires_at": "2024-05-01T10:30:00.250Z",
        "expires_in": 3600,
        "source": {"topic": "feedback", "partition": 3, "offset": 17},
    }


@pytest.mark.parametrize("origin", Origin)
@pytest.mark.parametrize("because", [None, "p7", "{} {0} {x}"])
@pytest.mark.parametrize("segment", [None, 0])
def test_every_offer_keeps_the_contract(
    origin: Origin, because: str | None, segment: int | None
) -> None:
    offer = structs.replace(
        OFFER,
        items=(OfferItem("p1", 1.0, origin, because),),
        segment=segment,
        segment_name=None,
        models=(),
    )
    document = orjson.loads(encode_offer(offer))
    assert schemas().of("offers").is_valid(document)
    assert document["items"][0]["reason"]


def test_what_the_catalog_and_the_campaign_tell_is_shown() -> None:
    shown = {"name": "Washer X", "image": "https://shop.example/p1.jpg", "link": "/p/p1"}
    item = OfferItem("p1", 0.5, Origin.TRENDING, None, 1999, **shown)
    offer = structs.replace(OFFER, items=(item,), placement="home", channel="web")
    document = orjson.loads(encode_offer(offer))
    assert schemas().of("offers").is_valid(document)
    assert document["items"][0].items() >= {**shown, "final_price_minor": 1799}.items()
    assert (document["placement"], document["channel"]) == ("home", "web")


def test_the_same_offer_gives_the_same_bytes() -> None:
    again = copy.deepcopy(OFFER)
    assert encode_offer(again) == encode_offer(OFFER)

"""An offer before a shopper's eyes: seen or not, clicked, dismissed or ignored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from math import exp
from typing import Any

from stream.simulate import messages
from stream.simulate.choice import utilities
from stream.simulate.draws import Draws
from stream.simulate.people import Offered, Shopper
from stream.simulate.shop import Page, Shop

_CURIOUS = 0.6  # clicking asks less than buying
_CLICK = -1.2  # utility of clicking on an item that is worth buying just as much as not
_PLACE = 0.12  # lost per place in the slate
_DISMISS = -3.6
_TIRING, _ANNOYING = 0.15, 0.5
_WITHDRAWS = 0.02  # chance, after a dismissal, to refuse offers from now on
_READING_MS = 4_000


def sees(shop: Shop, shopper: Shopper, offered: Offered) -> bool:
    """Whether the shopper notices the offer on the page: less, the more they had lately."""
    if offered.expires <= shop.timeline.now:
        return False
    attention = shopper.archetype.attention / (1.0 + shopper.tired)
    return _luck(shop, "attention", offered).chance(attention)


def show(
    shop: Shop, shopper: Shopper, offered: Offered, go_on: Callable[[Page | None], None]
) -> None:
    """Let the shopper look at the offer, answer it, and then ``go_on``, to its page if clicked."""
    shop.books.impressions[shopper.number] += 1
    _tell(shop, shopper, offered, "impression", None)
    choice = _answer(shop, shopper, offered)
    shopper.tired += _TIRING

    def respond() -> None:
        if choice is None:
            go_on(None)
        elif choice < 0:
            _dismiss(shop, shopper, offered)
            go_on(None)
        else:
            shop.books.offer_clicks[shopper.number] += 1
            _tell(shop, shopper, offered, "click", choice)
            go_on(Page(choice, "click", offered.discount, offered=True))

    shop.timeline.after(_READING_MS, respond)


def _answer(shop: Shop, shopper: Shopper, offered: Offered) -> int | None:
    """The item that is clicked, -1 for a dismissal, None for no answer: a multinomial logit."""
    now, goods = shop.timeline.now, shop.goods
    worth = utilities(shopper, goods, offered.items, now, offered.discount)
    weights = [exp(_CLICK + _CURIOUS * value - _PLACE * i) for i, value in enumerate(worth)]
    weights.append(exp(_DISMISS + shopper.tired))
    draw = _luck(shop, "answer", offered).uniform() * (1.0 + sum(weights))
    for answer, weight in zip((*offered.items, -1), weights, strict=True):
        draw -= weight
        if draw < 0:
            return answer
    return None


def _dismiss(shop: Shop, shopper: Shopper, offered: Offered) -> None:
    shop.books.dismissals[shopper.number] += 1
    shopper.tired += _ANNOYING
    _tell(shop, shopper, offered, "dismiss", None)
    if shopper.wants_offers and _luck(shop, "withdrawal", offered).chance(_WITHDRAWS):
        shopper.wants_offers = False
        name, now = shopper.customer_id, shop.timeline.now
        value = messages.customer(f"{offered.offer_id}-no", name, now, (True, False))
        shop.timeline.publish("customers", name, value)


def _tell(shop: Shop, shopper: Shopper, offered: Offered, answer: str, item: int | None) -> None:
    item_id = None if item is None else shop.goods.all[item].item_id
    value = messages.feedback(
        f"{offered.offer_id}-{answer}",
        shopper.customer_id,
        shop.timeline.now,
        answer,
        offered.offer_id,
        item_id,
    )
    shop.timeline.publish("feedback", shopper.customer_id, value)


def _luck(shop: Shop, purpose: str, offered: Offered) -> Draws:
    return Draws(shop.seed, purpose, offered.offer_id)


def read(offer: Mapping[str, Any], index: Mapping[str, int]) -> Offered:
    """Read what matters to a shopper from an offer's JSON; unknown items are left out."""
    slate: Sequence[Mapping[str, Any]] = offer["items"]
    expires = datetime.fromisoformat(offer["expires_at"])
    return Offered(
        offer_id=offer["offer_id"],
        items=tuple(index[i["product_id"]] for i in slate if i["product_id"] in index),
        discount=int(offer.get("discount_percent", 0)),
        expires=round(expires.timestamp() * 1000),
    )

"""One visit to the shop: pages, a basket, perhaps an order.

Rules: every decision asks :mod:`stream.simulate.choice`; the luck of a visit depends on the
shopper and the number of the visit, so that it does not hang on what others do.
"""

from __future__ import annotations

from math import exp

import numpy as np

from stream.simulate import messages
from stream.simulate.choice import bought_lately, browse, circumstance, liking, wants
from stream.simulate.draws import Draws
from stream.simulate.goods import GOES_WITH, Shelf
from stream.simulate.people import Shopper, live_on
from stream.simulate.shop import Page, Shop
from stream.simulate.showing import sees, show

_DWELL_MS = 32_000
_MOST_PAGES = 60
_RETURN = 0.35  # chance to look again at what was nearly bought
_COMPANIONS = 0.55  # chance to look at what goes with what was just put into the basket
_KEEPS_BASKET = 0.5
_REFUND = 0.035  # of orders
_NEARLY = -2.0  # utility from which an item is remembered
_SECOND_LOOK = 0.4  # chance to compare it with the next one
_MOODY = 1.2  # spread of what sets visits for buying and for looking apart, in logits
_PATIENCE = 0.25  # who is here to buy looks at more


class Visit:
    """A shopper in the shop, from the first page to the last."""

    def __init__(self, shop: Shop, shopper: Shopper, landing: Page | None = None) -> None:
        self.shop, self.shopper = shop, shopper
        self.draws = Draws(shop.seed, "visit", shopper.number, shopper.visits)
        self.session = f"{shop.mark}-{shopper.number}-{shopper.visits}"
        self._events = 0
        self._likes: dict[int, float] = {}
        self._offered: set[int] = set()
        shopper.visiting = True
        shopper.visits += 1
        shopper.tired *= 0.9
        shop.books.visits[shopper.number] += 1
        live_on(shopper, self.draws, shop.goods)
        shopper.mood = _MOODY * self.draws.normal()
        self._pages = self._plan()
        if landing is not None:
            self._pages.append(landing)

    def open_page(self) -> None:
        """Look at the offer that waits, at the next item, or leave."""
        offered = self.shopper.inbox
        if offered is not None:
            self.shopper.inbox = None
            if sees(self.shop, self.shopper, offered):
                show(self.shop, self.shopper, offered, self._go_on)
                return
        if not self._pages:
            self._leave()
            return
        page = self._pages.pop()
        shop, shopper, item = self.shop, self.shopper, page.item
        self._click(page.action, item, page.discount)
        shop.books.views[shopper.number] += 1
        worth = self._like(item) + circumstance(
            shopper, shop.goods, item, shop.timeline.now, page.discount
        )
        dwell = 2_000 + self.draws.exponential(_DWELL_MS)
        if item not in shopper.basket and shop.in_stock(item) and wants(worth, self.draws):
            shop.timeline.after(dwell / 2, self._put_in_basket, page)
            return
        if worth > _NEARLY:
            self._ponder(page)
        shop.timeline.after(dwell, self.open_page)

    def _ponder(self, page: Page) -> None:
        """Remember an item that was nearly wanted, and perhaps come back after the next one."""
        if page.item not in self.shopper.pondered:
            self.shopper.pondered.append(page.item)
        if self._pages and self.draws.chance(_SECOND_LOOK):
            self._pages.insert(-1, page)

    def _go_on(self, page: Page | None) -> None:
        """Follow an offer to its page, in place of one of the own plan, or ignore it."""
        if page is not None:
            if self._pages:
                self._pages.pop(0)
            self._pages.append(page)
        self.open_page()

    def _next_id(self) -> str:
        self._events += 1
        return f"{self.session}-{self._events}"

    def _plan(self) -> list[Page]:
        """The pages in reverse: first what was left in the basket or pondered, then the shelf."""
        shopper, draws = self.shopper, self.draws
        patience = exp(_PATIENCE * shopper.mood)
        count = min(
            1 + int(draws.exponential(shopper.archetype.pages - 0.5) * patience), _MOST_PAGES
        )
        found = browse(shopper, self._wish(), draws, count)
        self._likes.update(found)
        pages = [Page(item) for item, _ in found]
        again = [*shopper.basket, *reversed(shopper.pondered)][:2]
        first = [Page(item) for item in again if draws.chance(_RETURN)]
        return (first + pages)[::-1]

    def _wish(self) -> Shelf:
        """The shelf of what this visit is about: a category, or what goes with a purchase."""
        shop, shopper = self.shop, self.shopper
        pull = 1.2 * (shop.goods.centres @ shopper.tastes)
        for kind in bought_lately(shopper, shop.goods, shop.timeline.now):
            for other in GOES_WITH[kind]:
                pull[shop.goods.kind_category[other]] += 0.3
        return shop.goods.categories[self.draws.choice(pull)]

    def _like(self, item: int) -> float:
        known = self._likes.get(item)
        if known is None:
            known = liking(self.shopper, self.shop.goods.shelf(np.array([item]))).item()
            self._likes[item] = known
        return known

    def _click(self, action: str, item: int, discount: int) -> None:
        shop, shopper = self.shop, self.shopper
        value = messages.click(
            self._next_id(),
            shopper.customer_id,
            shop.timeline.now,
            action,
            shop.goods.all[item],
            shop.price(item, discount),
            self.session,
        )
        shop.timeline.publish("clicks", shopper.customer_id, value)

    def _put_in_basket(self, page: Page) -> None:
        shop, shopper, item = self.shop, self.shopper, page.item
        self._click("add_to_cart", item, page.discount)
        shopper.basket[item] = page.discount
        if page.offered:
            self._offered.add(item)
        if item in shopper.pondered:
            shopper.pondered.remove(item)
        if self.draws.chance(_COMPANIONS):
            shelf = shop.goods.companions[shop.goods.all[item].kind]
            found = browse(shopper, shelf, self.draws, 2)
            self._likes.update(found)
            self._pages.extend(Page(other, "click") for other, _ in found)
        shop.timeline.after(self.draws.exponential(_DWELL_MS / 2), self.open_page)

    def _leave(self) -> None:
        shop, shopper = self.shop, self.shopper
        if shopper.basket and self.draws.chance(shopper.archetype.checkout):
            shop.timeline.after(20_000 + self.draws.exponential(60_000), self._check_out)
            return
        if shopper.basket and not self.draws.chance(_KEEPS_BASKET):
            for item, discount in list(shopper.basket.items()):
                self._click("remove_from_cart", item, discount)
            shopper.basket.clear()
        self._end()

    def _check_out(self) -> None:
        shop, shopper = self.shop, self.shopper
        bought = {item: d for item, d in shopper.basket.items() if shop.in_stock(item)}
        shopper.basket.clear()
        if bought:
            order = f"order-{self.session}"
            lines = [(shop.goods.all[i], shop.price(i, d)) for i, d in bought.items()]
            now, customer = shop.timeline.now, shopper.customer_id
            value = messages.purchase(self._next_id(), customer, now, order, lines, self.session)
            shop.timeline.publish("purchases", customer, value)
            self._enter_in_books(bought)
            if self.draws.chance(_REFUND):
                item = list(bought)[self.draws.below(len(bought))]
                wait = shop.goods.day * (1.0 + self.draws.exponential(3.0))
                shop.timeline.after(wait, self._refund, order, item, bought[item])
        self._end()

    def _enter_in_books(self, bought: dict[int, int]) -> None:
        shop, shopper, books = self.shop, self.shopper, self.shop.books
        who = shopper.number
        books.orders[who] += 1
        books.offer_orders[who] += any(item in self._offered for item in bought)
        for item, discount in bought.items():
            good, price = shop.goods.all[item], shop.price(item, discount)
            books.revenue[who] += price
            books.margin[who] += good.margin - (good.price - price)
            shopper.bought[good.kind] = shop.timeline.now
            shopper.owned.add(item)
            shop.sell(item)

    def _end(self) -> None:
        self.shopper.visiting, self.shopper.mood = False, 0.0

    def _refund(self, order: str, item: int, discount: int) -> None:
        shop, shopper = self.shop, self.shopper
        good, price = shop.goods.all[item], shop.price(item, discount)
        value = messages.purchase(
            f"{order}-r",
            shopper.customer_id,
            shop.timeline.now,
            order,
            [(good, price)],
            refund=True,
        )
        shop.timeline.publish("purchases", shopper.customer_id, value)
        shop.books.refunds[shopper.number] += price
        shopper.bought.pop(good.kind, None)
        shopper.owned.discard(item)


def begin(shop: Shop, shopper: Shopper, landing: Page | None = None) -> None:
    """Let a visit begin, unless one is under way."""
    if not shopper.visiting:
        Visit(shop, shopper, landing).open_page()

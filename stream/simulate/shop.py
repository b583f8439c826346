"""The shop that the shoppers visit: its shelves, its stock, and its books."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stream.simulate import messages
from stream.simulate.draws import Draws
from stream.simulate.goods import Goods
from stream.simulate.rhythm import DAY_MS, Rhythm
from stream.simulate.timeline import Timeline

_LAUNCHES_OVER_DAYS = 20
Counts = npt.NDArray[np.int64]


class Page(NamedTuple):
    """An item's page: how it is reached, at which discount (percent), from an offer or not."""

    item: int
    action: str = "view"
    discount: int = 0
    offered: bool = False


class Books(NamedTuple):
    """What each customer did, by number: arrays of shape (customers,); money in minor units.

    ``offer_orders`` counts the orders with an item that an offer led to, ``unwanted`` the offers
    to customers who had refused them.
    """

    visits: Counts
    views: Counts
    orders: Counts
    revenue: Counts
    margin: Counts
    refunds: Counts
    offers: Counts
    impressions: Counts
    offer_clicks: Counts
    dismissals: Counts
    offer_orders: Counts
    unwanted: Counts

    @classmethod
    def empty(cls, customers: int) -> Books:
        """Books in which nothing is written yet."""
        return cls(*(np.zeros(customers, dtype=np.int64) for _ in cls._fields))

    def copy(self) -> Books:
        """The books as they stand now."""
        return Books(*(column.copy() for column in self))


class Shop:
    """What all shoppers share; ``pace`` is how many times as fast as in life their days pass."""

    def __init__(
        self, seed: int, customers: int, items: int, start: int, pace: float, daily: bool
    ) -> None:
        self.seed = seed
        self.mark = f"{start // 1000:x}"  # of ids: those of another run must differ
        self.timeline = Timeline(start)
        self.rhythm = Rhythm(daily=daily)
        self.goods = Goods(seed, items, DAY_MS / pace)
        self.books = Books.empty(customers)
        self._launches = Draws(seed, "launches")
        self._added = {i: start - round(DAY_MS * (30 + 700 * i / items)) for i in range(items)}
        self._await_launch()

    def tell(self, item: int) -> None:
        """Publish the catalog's entry of an item, as of now."""
        good = self.goods.all[item]
        value = messages.catalog(good, self.goods.stock[item], self._added[item])
        self.timeline.publish("catalog", good.item_id, value)

    def price(self, item: int, discount: int) -> int:
        """What an item costs at a discount in percent, in minor units."""
        price = self.goods.all[item].price
        return round(price * (100 - discount) / 100) if discount else price

    def in_stock(self, item: int) -> bool:
        """Whether there is one left to buy."""
        return self.goods.stock[item] != 0

    def sell(self, item: int) -> None:
        """Take one from the shelf; an item that is sold out comes back within days."""
        stock = self.goods.stock[item]
        if stock is None:
            return
        self.goods.stock[item] = stock - 1
        if stock == 1:
            self.tell(item)
            self.timeline.after(self.goods.day * (1 + item % 3), self._restock, item)

    def _restock(self, item: int) -> None:
        self.goods.stock[item] = 40 + item % 97
        self.tell(item)

    def _await_launch(self) -> None:
        coming = len(self.goods.all) - self.goods.opening
        if self.goods.on_shelf < len(self.goods.all):
            wait = self._launches.exponential(_LAUNCHES_OVER_DAYS * self.goods.day / coming)
            self.timeline.after(wait, self._launch)

    def _launch(self) -> None:
        item = self.goods.launch()
        self._added[item] = self.timeline.now
        self.tell(item)
        self._await_launch()

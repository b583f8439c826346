"""Customers' purchases in bounded memory: recency, frequency, spend, and how they fade.

Rules
-----
- Amounts of one customer at one time are one order: files tell orders line by line.
- An amount below zero is a refund: it lowers what was spent, and is no order.
- When there are too many customers, the one longest without an order gives way, and is counted.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateError, StateValue, array, integer, texts

Floats = npt.NDArray[np.float64]

DAY: Final = 86_400.0
_FADING: Final = (15.0, 45.0, 180.0)  # days after which a purchase counts 1/e

FIRST, LAST, ORDERS, SPENT, LARGEST, LATEST, GAP = range(7)
_FADED: Final = 7  # from here on: orders and spend for each pace of fading
_SIZE: Final = _FADED + 2 * len(_FADING)


class Purchases:
    """Customers' purchases as a few numbers each.

    Parameters
    ----------
    most
        Customers that are kept.

    Attributes
    ----------
    evicted
        Customers that gave way so far.

    Examples
    --------
    >>> purchases = Purchases()
    >>> purchases.learn_one("c1", 0.0, 30.0)
    >>> purchases.learn_one("c1", 10 * DAY, 50.0)
    >>> purchases.spent("c1"), purchases.orders("c1"), purchases.average("c1", 20 * DAY, days=10.0)
    (80.0, 2, 40.0)
    """

    def __init__(self, most: int = 100_000) -> None:
        self.most = most
        self.evicted = 0
        self._known: OrderedDict[str, Floats] = OrderedDict()

    def __contains__(self, customer: str) -> bool:
        return customer in self._known

    def __len__(self) -> int:
        return len(self._known)

    def customers(self) -> list[str]:
        """Return who is known, the one longest without an order first."""
        return list(self._known)

    def learn_one(self, customer: str, time: float, amount: float) -> None:
        """Learn an amount.

        Parameters
        ----------
        time
            In seconds, not before the latest of this customer's.
        amount
            In one currency; below zero for a refund.
        """
        row = self._known.get(customer)
        if row is None:
            if amount <= 0:
                return
            row = self._known[customer] = np.zeros(_SIZE)
            row[FIRST] = row[LAST] = time
        time = max(time, row[LAST])
        _learn(row, time, amount)
        self._known.move_to_end(customer)
        if len(self._known) > self.most:
            self._known.popitem(last=False)
            self.evicted += 1

    def spent(self, customer: str) -> float:
        """Return all that a customer spent, less refunds; 0 of one who is not known."""
        row = self._known.get(customer)
        return 0.0 if row is None else float(row[SPENT])

    def orders(self, customer: str) -> int:
        """Return a customer's orders so far."""
        row = self._known.get(customer)
        return 0 if row is None else int(row[ORDERS])

    def summary(self, customer: str, now: float) -> tuple[int, float, float, float]:
        """Return orders, days from the first to the last and to now, and mean spend an order."""
        row = self._known[customer]
        orders = max(1, int(row[ORDERS]))
        first = row[FIRST]
        spans = (row[LAST] - first) / DAY, max(0.0, now - first) / DAY
        return orders, float(spans[0]), float(spans[1]), max(0.0, float(row[SPENT])) / orders

    def average(self, customer: str, now: float, days: float) -> float:
        """Return what a customer spent in so many days of the past, on average."""
        row = self._known.get(customer)
        if row is None:
            return 0.0
        age = max((now - float(row[FIRST])) / DAY, days)
        return max(0.0, float(row[SPENT]) * days / age)

    def features(self, customer: str, now: float) -> dict[str, float]:
        """Return what tells of a customer's next days: logarithms of days, counts, amounts."""
        row = self._known.get(customer)
        if row is None:
            return {}
        age = max(0.0, now - row[FIRST]) / DAY
        silent = max(0.0, now - row[LAST]) / DAY
        orders = max(1.0, float(row[ORDERS]))
        gap = row[GAP] if row[GAP] > 0 else age + 30.0
        x = {
            "silent": math.log1p(silent),
            "silent_squared": math.log1p(silent) ** 2,
            "age": math.log1p(age),
            "orders": math.log(orders),
            "once": float(orders < 2),
            "overdue": math.log((silent + 1.0) / (gap + 1.0)),
            "mean": _log(row[SPENT] / orders),
            "largest": _log(row[LARGEST]),
            "latest": _log(row[LATEST]),
            "rate": math.log((orders + 0.5) / (age + 30.0)),
        }
        for at, pace in enumerate(_FADING):
            faded = math.exp(-silent / pace)
            x[f"orders_{pace:.0f}"] = math.log1p(faded * row[_FADED + 2 * at])
            x[f"spent_{pace:.0f}"] = _log(faded * row[_FADED + 2 * at + 1])
        return x

    def state(self) -> State:
        """Return all that the future depends on."""
        rows = np.array(list(self._known.values())).reshape(-1, _SIZE)
        return {
            "most": self.most,
            "evicted": self.evicted,
            "customers": list(self._known),
            "rows": rows,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return what `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        purchases = cls(integer(state, "most", 1, 100_000_000))
        purchases.evicted = integer(state, "evicted", 0, 2**62)
        names = texts(state, "customers")
        rows = array(state, "rows", np.float64, (len(names), _SIZE))
        if len(set(names)) < len(names) or len(names) > purchases.most:
            raise StateError("customers: one twice, or too many")
        purchases._known = OrderedDict(zip(names, rows, strict=True))
        return purchases


def _learn(row: Floats, time: float, amount: float) -> None:
    passed = (time - row[LAST]) / DAY
    is_new = amount > 0 and (passed > 0 or not row[ORDERS])
    for at, pace in enumerate(_FADING):
        place = _FADED + 2 * at
        row[place : place + 2] *= math.exp(-passed / pace)
        row[place] += is_new
        row[place + 1] += amount
    row[SPENT] += amount
    if is_new:
        if row[ORDERS]:
            row[GAP] += (passed - row[GAP]) / min(row[ORDERS], 5.0)
        row[ORDERS] += 1
        row[LATEST] = 0.0
    if amount > 0:
        row[LATEST] += amount
        row[LAST] = time
    row[LARGEST] = max(row[LARGEST], row[LATEST])


def _log(amount: float) -> float:
    return math.log1p(max(0.0, float(amount)))

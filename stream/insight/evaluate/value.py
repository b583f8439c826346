"""What customers will spend in the next days, foretold from what was known, with late labels.

Rules
-----
- Every few days, each customer who has ever ordered is foretold. What came is known only when the
  days are over: then it is learned, with the features of back then.
- Spend is net of refunds, and zero where refunds are more. Amounts of one customer at one time
  are one order.
- Of very many customers a part is foretold, drawn by a hash of their number.
- Gini is that of spend in the order of what was foretold, over that in the order of what came.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from stream.config import ConfigError
from stream.insight.evaluate.dates import TICK, Tick, times_of
from stream.insight.evaluate.lifetimes import Histories, Lifetimes
from stream.insight.evaluate.periods import finite
from stream.models.base.hashing import draw
from stream.models.base.metrics import auc, calibration_error, log_loss
from stream.models.value import Purchases, SpendRegressor
from stream.models.value.purchases import DAY
from stream.models.value.spend import PAST
from stream.reading.table import Table

Floats = npt.NDArray[np.float64]

MODELS: Final = ("model", "past_average", "batch")
_A_TIME: Final = 5_000  # customers foretold at one moment, about
_MOMENTS: Final = 60
_REFITS: Final = 15


class Sale(NamedTuple):
    """An amount of a customer's, and when, in seconds."""

    time: float
    customer: str
    amount: float


class Sales(NamedTuple):
    """The amounts of a file in time order, and how many rows were left out."""

    sales: list[Sale]
    left_out: int


def factors_of(amount: str) -> list[str]:
    """Return the columns whose product an amount is.

    >>> factors_of("Quantity * UnitPrice")
    ['Quantity', 'UnitPrice']
    """
    return [name.strip() for name in amount.split("*")]


def read_sales(
    table: Table, customer: str, time: str, amount: str, tick: Tick = lambda done: None
) -> Sales:
    """Return the amounts in a table, in time order.

    Parameters
    ----------
    table
        In any order; it is read twice.
    customer, time
        Columns.
    amount
        A column, or the product of some: ``Quantity*UnitPrice``.
    tick
        Told the bytes that were read, up to twice those of the table.

    Raises
    ------
    ConfigError
        If the table can't be read, or its times or amounts can't.
    """
    read = times_of(table, time, tick)
    sales, left_out = [], 0
    rows = table.cells([customer, time, *factors_of(amount)])
    for number, (who, when, *parts) in enumerate(rows):
        if number % TICK == 0:
            tick(table.size + table.read)
        moment, values = read(when), [finite(part) for part in parts]
        if not who or moment is None or None in values:
            left_out += 1
        else:
            sales.append(Sale(moment, who, math.prod(value or 0.0 for value in values)))
    if not any(sale.amount > 0 for sale in sales):
        raise ConfigError(f"--amount {amount}: no row has a customer, a time and an amount over 0")
    sales.sort(key=lambda sale: sale.time)
    return Sales(sales, left_out + table.left_out.total())


class _Asked(NamedTuple):
    """A customer at a moment: what was known and foretold, until it is known what came."""

    due: float
    number: int
    customer: str
    x: dict[Hashable, Any]
    orders: int
    spent: float
    told: tuple[float, float, float]
    order: float
    wait: float


class ValueEvaluation:
    """One pass over the amounts of a file.

    Parameters
    ----------
    sales
        In time order.
    horizon
        Days whose spend is foretold, over 0.
    """

    def __init__(self, sales: Sales, horizon: float = 30.0) -> None:
        self.sales = sales
        self.horizon = horizon
        self.purchases = Purchases()
        self.model = SpendRegressor()
        self.customers: set[str] = set()
        self.told: list[tuple[float, float, float]] = []
        self.came: list[float] = []
        self.ordered: list[float] = []
        self.order: list[float] = []
        self._waiting: list[_Asked] = []
        self._asked = 0
        self._lifetimes: Lifetimes | None = None
        self._fitted = -math.inf
        first, last = sales.sales[0].time, sales.sales[-1].time
        span = last - first
        self._step = max(horizon * DAY / 4, span / _MOMENTS)
        self._refit = max(self._step, span / _REFITS)
        self._end = last
        self._next = first + min(horizon * DAY, span / 4)

    def run(self) -> Iterator[int]:
        """Foretell and learn everything; yield the number of amounts done, now and then."""
        for number, sale in enumerate(self.sales.sales):
            while self._next < sale.time and self._next + self.horizon * DAY <= self._end:
                self._learn(self._next)
                self._foretell(self._next)
                self._next += self._step
            self._learn(sale.time)
            self.customers.add(sale.customer)
            self.purchases.learn_one(sale.customer, sale.time, sale.amount)
            if number % 1_000 == 0:
                yield number
        self._learn(self._end + 1.0)
        yield len(self.sales.sales)

    def _foretell(self, now: float) -> None:
        known = self.purchases.customers()
        share = _A_TIME / max(1, len(known))
        who = [
            name for at, name in enumerate(known) if share >= 1.0 or draw(self._asked, at) < share
        ]
        batch = self._by_lifetimes(who, now)
        for customer, reference in zip(who, batch.tolist(), strict=True):
            past = self.purchases.average(customer, now, self.horizon)
            x: dict[Hashable, Any] = {PAST: past, "average": math.log1p(past)}
            x.update(self.purchases.features(customer, now))
            outlook = self.model.predict(x)
            self._asked += 1
            asked = _Asked(
                now + self.horizon * DAY, self._asked, customer, x,
                self.purchases.orders(customer), self.purchases.spent(customer),
                (outlook.spend, past, reference), outlook.order, outlook.next_order,
            )  # fmt: skip
            heapq.heappush(self._waiting, asked)

    def _by_lifetimes(self, who: Sequence[str], now: float) -> Floats:
        if not who:
            return np.zeros(0)
        told = np.array([self.purchases.summary(name, now) for name in who], dtype=np.float64)
        histories = Histories(told[:, 0] - 1.0, told[:, 1], told[:, 2], told[:, 3])
        if now - self._fitted >= self._refit or self._lifetimes is None:
            self._lifetimes, self._fitted = Lifetimes(histories), now
        return self._lifetimes.spend(histories, self.horizon)

    def _learn(self, now: float) -> None:
        """Learn what came of those whose days are over."""
        while self._waiting and self._waiting[0].due < now:
            asked = heapq.heappop(self._waiting)
            spend = max(0.0, self.purchases.spent(asked.customer) - asked.spent)
            self.told.append(asked.told)
            self.came.append(spend)
            self.ordered.append(float(self.purchases.orders(asked.customer) > asked.orders))
            self.order.append(asked.order)
            self.model.learn_one(asked.x, spend)

    def report(self) -> dict[str, Any]:
        """Return the result as plain values; see ``offerstream evaluate value``.

        Raises
        ------
        ConfigError
            If the file's time is too short for any label.
        """
        came = np.array(self.came)
        if not len(came):
            days = (self._end - self.sales.sales[0].time) / DAY
            raise ConfigError(
                f"--horizon {self.horizon:g}: no customer's next days are over in the file's "
                f"{days:.1f} days; take fewer"
            )
        each = dict(zip(MODELS, np.array(self.told).T, strict=True))
        ordered, order = np.array(self.ordered), np.array(self.order)
        return {
            "rows": len(self.sales.sales) + self.sales.left_out,
            "left_out": self.sales.left_out,
            "customers": len(self.customers),
            "horizon": self.horizon,
            "predictions": len(came),
            "observed_mean": float(came.mean()),
            **_marks(each["model"], came),
            "past_average": _marks(each["past_average"], came),
            "batch": {"name": "BG/NBD and Gamma-Gamma"} | _marks(each["batch"], came),
            "order": {
                "share": float(ordered.mean()),
                "auc": auc(ordered, order),
                "log_loss": log_loss(ordered, order),
                "ece": calibration_error(ordered, order),
            },
            "chosen": self.model.chosen,
            "evicted": self.purchases.evicted,
        }

    def chart(self) -> dict[str, list[tuple[float, float]]]:
        """Return what came by decile of what was foretold, for each model."""
        came = np.array(self.came)
        each = dict(zip(MODELS, np.array(self.told).T, strict=True))
        lines = {"observed": _line(deciles(each["model"], came), "observed")}
        for name, told in each.items():
            lines[name] = _line(deciles(told, came), "predicted")
        return lines


def _line(parts: list[dict[str, float]], key: str) -> list[tuple[float, float]]:
    return [(float(number), part[key]) for number, part in enumerate(parts, 1)]


def _marks(told: Floats, came: Floats) -> dict[str, Any]:
    return {
        "mae": float(np.abs(told - came).mean()),
        "rmse": float(np.sqrt(((told - came) ** 2).mean())),
        "gini": gini(told, came),
        "deciles": deciles(told, came),
    }


def gini(told: Floats, came: Floats) -> float | None:
    """Return how well predictions order what came: 1 as the truth does, 0 as chance.

    Parameters
    ----------
    told, came
        Of shape (customers,); what came is at least 0. Ties count as if in the order of chance.

    Returns
    -------
    float or None
        None where nothing came.

    Examples
    --------
    >>> gini(np.array([1.0, 2.0, 3.0]), np.array([0.0, 0.0, 9.0]))
    1.0
    """
    best = _concentration(came, came)
    return None if best <= 0 else _concentration(told, came) / best


def _concentration(told: Floats, came: Floats) -> float:
    """Twice the area between the line of equality and the Lorenz curve in the order of ``told``."""
    total = came.sum()
    if total <= 0:
        return 0.0
    _, group = np.unique(told, return_inverse=True)
    sizes = np.bincount(group)
    sums = np.bincount(group, came) / total
    before = np.concatenate([[0.0], np.cumsum(sums)[:-1]])
    area = float(((before + sums / 2) * sizes).sum() / len(told))
    return 1.0 - 2.0 * area


def deciles(told: Floats, came: Floats) -> list[dict[str, float]]:
    """Return means of what was foretold and of what came, by tenth of what was foretold.

    Examples
    --------
    >>> deciles(np.arange(10.0), np.arange(10.0))[9]
    {'predicted': 9.0, 'observed': 9.0}
    """
    order = np.argsort(told, kind="stable")
    parts = [part for part in np.array_split(order, 10) if len(part)]
    return [
        {"predicted": float(told[part].mean()), "observed": float(came[part].mean())}
        for part in parts
    ]

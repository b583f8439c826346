"""Who a row is about and what it becomes, or why it is refused.

Rules:

- The reasons are asked in this order, and the first that holds is given: no customer, a rule of
  the mapping, an event type that is ignored or unknown.
- A customer's id is tidied as the pipeline does it, so that the record's key is that id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from stream.domain.event import Trade
from stream.domain.text import tidy
from stream.grammar.numbers import code_in
from stream.reading.records import Row
from stream.replay.fields import Binder, Fields, Getter, nothing
from stream.replay.mapping import Mapping, RefusalReason, Target
from stream.replay.money import Terms
from stream.replay.outcome import OrderKey

_REFUND: Final = Trade.REFUND.value


class Admitted(NamedTuple):
    """A row that can be a record."""

    customer: str
    target: Target


class RowFilter:
    """A mapping's conditions, bound to the columns of a file."""

    def __init__(self, mapping: Mapping, binder: Binder, fields: Fields, terms: Terms) -> None:
        self._get = fields
        self._terms = terms
        self._has_price = fields.price is not nothing
        self._default_customer = mapping.defaults.customer
        self._default_currency = mapping.defaults.currency
        self._orders = mapping.orders
        self._constant = mapping.types.constant
        self._words = dict(mapping.types.words)
        self._others = self._words.get("*", RefusalReason.UNMAPPED_TYPE)
        self._rules: tuple[tuple[Getter, Callable[[str], object], str], ...] = tuple(
            (
                binder.bind(rule.column, f"refuse[{number}].column"),
                re.compile(rule.matches).fullmatch,
                rule.reason,
            )
            for number, rule in enumerate(mapping.refuse, 1)
        )

    def admit(self, row: Row) -> Admitted | str:
        """Tell the row's customer and what it becomes, or the reason of its refusal."""
        customer = self._customer(row)
        if not customer:
            return RefusalReason.NO_CUSTOMER
        for get, matches, reason in self._rules:
            value = get(row)
            if value is not None and matches(str(value)):
                return reason
        target = self._constant or self._target(self._get.type(row))
        return Admitted(customer, target) if isinstance(target, Target) else target

    def _customer(self, row: Row) -> str | None:
        customer = self._get.customer(row)
        if customer is None and self._default_customer:
            session = self._get.session(row)
            if session is not None:
                customer = self._default_customer.replace("{session}", str(session))
        return tidy(customer) if isinstance(customer, str) else None

    def _target(self, word: object) -> Target | RefusalReason:
        text = word if isinstance(word, str) else ""
        target = self._words.get(text, RefusalReason.UNMAPPED_TYPE)
        if isinstance(target, RefusalReason):
            target = self._words.get(text.lower(), self._others)
        return RefusalReason.IGNORED_TYPE if target is None else target

    def order_key(self, row: Row, admitted: Admitted) -> OrderKey | None:
        """The order that the row is a line of; None where no order has an id or lines."""
        if self._orders.lines == "alone" or admitted.target.topic != "purchases":
            return None
        order = self._get.order(row)
        if not isinstance(order, str):
            return None
        trade = self.trade(row, order, admitted)
        return OrderKey(admitted.customer, order, trade, self.currency(row))

    def trade(self, row: Row, order: object, admitted: Admitted) -> str:
        """Purchase or refund, for a row of an order."""
        orders = self._orders
        prefix = orders.refund_prefix
        if prefix and isinstance(order, str) and order.startswith(prefix):
            return _REFUND
        if orders.refund_negative and self._terms.negative(row):
            return _REFUND
        return admitted.target.word

    def currency(self, row: Row) -> str | None:
        """The currency of a row: its column's, else that in its price, else the mapping's."""
        found = self._get.currency(row)
        if found is not None:
            return str(found).upper()
        price = self._get.price(row) if self._has_price else None
        if isinstance(price, str) and not (price[-1:].isdecimal() and price[:1].isdecimal()):
            return code_in(price) or self._default_currency
        return self._default_currency

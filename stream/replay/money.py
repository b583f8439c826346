"""Prices and quantities as logs write them → those of an event, in canonical form.

Rules:

- Money is never rounded on the way, except for a price per unit out of that of a whole line,
  which is rounded to a ten-thousandth (in minor units: to a whole one).
- Quantities are written as prices are: with the same signs.
- What is no number is published as `unreadable`, so that the pipeline refuses it: it is never read
  a second time, by other rules.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, Final

from stream.grammar.numbers import (
    amount_reader,
    as_whole,
    is_plain,
    number_reader,
    plain,
)
from stream.reading.records import Row
from stream.replay.fields import Getter
from stream.replay.mapping import Mapping, PriceFormat

_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_FRACTION: Final = Decimal("0.0001")


def unreadable(value: object) -> dict[str, object]:
    """What is published in the place of a value that the mapping cannot read.

    No field of an event takes an object like this, so the record becomes a dead letter, with the
    value in it.

    >>> unreadable("cheap")
    {'unreadable': 'cheap'}
    """
    return {"unreadable": value}


class Terms:
    """How many of an item, and at what price, in the fields of a product.

    Parameters
    ----------
    mapping
        How they are written.
    price, quantity, currency
        Where they stand.
    """

    def __init__(self, mapping: Mapping, price: Getter, quantity: Getter, currency: Getter) -> None:
        self._get_price = price
        self._get_quantity = quantity
        self._get_currency = currency
        self._default_quantity = mapping.defaults.quantity
        self._weighed = mapping.quantity.fraction == "one"
        form = mapping.price
        self._name = "price_minor" if form.unit == "minor" else "price"
        self._of_line = form.of == "line"
        self._zero_is_unknown = form.zero == "unknown"
        self._amount = amount_reader(form.numbers)
        self._number = number_reader(form.numbers)
        self._rounds = self._of_line or self._weighed
        self._plain = form == PriceFormat(zero=form.zero) and not self._rounds

    def write(self, row: Row, product: dict[str, Any]) -> None:
        """Set the product's ``quantity``, and ``price`` or ``price_minor`` where there is one."""
        given, price = self._get_quantity(row), self._get_price(row)
        quantity, weight = self._quantity(given)
        product["quantity"] = unreadable(given) if quantity is None else quantity
        if price is None:
            return
        if self._plain and isinstance(price, str) and is_plain(price):
            written: object = None if self._zero_is_unknown and not price.strip("0.") else price
        else:
            written = self._price(row, price, quantity, weight)
        if written is not None:
            product[self._name] = written

    def negative(self, row: Row) -> bool:
        """Whether the row's quantity is below zero."""
        given = self._get_quantity(row)
        if isinstance(given, str) and given.isdecimal():
            return False
        found = self._number(given)
        return found is not None and found < 0

    def _quantity(self, given: object) -> tuple[int | None, Decimal | None]:
        """Whole units, None if they cannot be read; and the weight that makes one unit."""
        if given is None:
            return self._default_quantity, None
        if isinstance(given, str) and len(given) < 12 and given.isascii() and given.isdecimal():
            return int(given), None
        found = self._number(given)
        quantity = as_whole(found)
        return (
            (1, found)
            if quantity is None and found is not None and self._weighed
            else (
                quantity,
                None,
            )
        )

    def _price(
        self, row: Row, price: object, quantity: int | None, weight: Decimal | None
    ) -> object:
        """The price per unit as it is published; None if it is not known."""
        found = self._amount(price)
        if found is None or self._is_other(found.currency, row):
            return unreadable(price)
        amount = found.value
        if self._zero_is_unknown and not amount:
            return None
        if weight is not None:
            amount = abs(amount) if self._of_line else amount * abs(weight)
        elif self._of_line and quantity:
            amount = _CONTEXT.divide(amount, quantity)
            amount = abs(amount) if quantity < 0 else amount
        if self._name == "price_minor":
            rounded = amount.to_integral_value(ROUND_HALF_EVEN)
            return int(rounded) if self._rounds or rounded == amount else unreadable(price)
        return plain(amount.quantize(_FRACTION, context=_CONTEXT) if self._rounds else amount)

    def _is_other(self, code: str | None, row: Row) -> bool:
        """Whether a price names another currency than its row."""
        if code is None:
            return False
        given = self._get_currency(row)
        return given is not None and str(given).strip().upper() != code

"""Prices and quantities as logs write them → those of an event.

Rules:

- Money is never rounded on the way, except for a price per unit out of that of a whole line,
  which is rounded to a ten-thousandth (in minor units: to a whole one).
- A currency sign and spaces around a number are not part of it.
- What is no number is published as it stands, and the pipeline's decoder says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Any, Final, TypeAlias

from stream.replay.fields import Getter
from stream.replay.mapping import Mapping, PriceFormat
from stream.replay.records import Row

#: Reads a value of a row; None if it is no number.
NumberReader: TypeAlias = Callable[[object], Decimal | None]

_SIGNS: Final = " \u00a0\u202f€$£¥₹₽₺₩"
_CONTEXT: Final = Context(prec=40, rounding=ROUND_HALF_EVEN)
_FRACTION: Final = Decimal("0.0001")
_PLAIN: Final = re.compile(r"[0-9]+(\.[0-9]+)?").fullmatch
_MOST: Final = 10**12  # of units or minor units; beyond it, it is no number of anything


def price_reader(format: PriceFormat) -> NumberReader:
    """Build the reader of a mapping's prices, in the unit in which they are written.

    Examples
    --------
    >>> read = price_reader(PriceFormat(decimal=",", thousands="."))
    >>> read("1.234,50 €"), read(12.5), read("a lot")
    (Decimal('1234.50'), Decimal('12.5'), None)
    """
    comma, thousands = format.decimal == ",", format.thousands

    def read(value: object) -> Decimal | None:
        if not isinstance(value, str):
            return number(value)
        text = value.strip(_SIGNS)
        if thousands:
            text = text.replace(thousands, "")
        if comma:
            text = "" if "." in text else text.replace(",", ".")
        return number(text)

    return read


def number(value: object) -> Decimal | None:
    """Read a finite number below 10^12, exactly; None if it is none.

    >>> number("2.55"), number(0.1), number("nan"), number("1e99"), number(True)
    (Decimal('2.55'), Decimal('0.1'), None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and abs(found) < _MOST else None


def is_negative(value: object) -> bool:
    """Tell whether a value is a number below zero, without reading it whole."""
    if isinstance(value, str):
        return value.startswith("-")
    return isinstance(value, int | float) and value < 0


def whole(value: object) -> int | None:
    """Read a whole number, however it is written; None if it is not one.

    >>> whole("6"), whole("-1.0"), whole(3), whole("0.5"), whole("many")
    (6, -1, 3, None, None)
    """
    if isinstance(value, str) and value.isdecimal() and len(value) < 12:
        return int(value)
    found = number(value)
    return int(found) if found is not None and found == found.to_integral_value() else None


class Terms:
    """How many of an item, and at what price, in the fields of a product.

    Parameters
    ----------
    mapping
        How they are written.
    price, quantity
        Where they stand.
    """

    def __init__(self, mapping: Mapping, price: Getter, quantity: Getter) -> None:
        self._get_price = price
        self._get_quantity = quantity
        self._default_quantity = mapping.defaults.quantity
        self._weighed = mapping.quantity.fraction == "one"
        form = mapping.price
        self._name = "price_minor" if form.unit == "minor" else "price"
        self._of_line = form.of == "line"
        self._zero_is_unknown = form.zero == "unknown"
        self._read = price_reader(form)
        self._rounds = self._of_line or self._weighed
        self._plain = form == PriceFormat(zero=form.zero) and not self._rounds

    def write(self, row: Row, product: dict[str, Any]) -> None:
        """Set the product's ``quantity``, and ``price`` or ``price_minor`` where there is one."""
        given, price = self._get_quantity(row), self._get_price(row)
        quantity = self._default_quantity if given is None else whole(given)
        weight = number(given) if quantity is None and self._weighed else None
        product["quantity"] = 1 if weight is not None else given if quantity is None else quantity
        if price is None:
            return
        if self._plain and isinstance(price, str) and _PLAIN(price):
            written: object = None if self._zero_is_unknown and not price.strip("0.") else price
        else:
            written = self._price(price, quantity, weight)
        if written is not None:
            product[self._name] = written

    def _price(self, price: object, quantity: int | None, weight: Decimal | None) -> object:
        """The price per unit as it is published; None if it is not known."""
        amount = self._read(price)
        if amount is None:
            return price
        if self._zero_is_unknown and not amount:
            return None
        if weight is not None:
            amount = abs(amount) if self._of_line else amount * abs(weight)
        elif self._of_line and quantity:
            amount = _CONTEXT.divide(amount, quantity)
            amount = abs(amount) if quantity < 0 else amount
        if self._name == "price_minor":
            rounded = amount.to_integral_value(ROUND_HALF_EVEN)
            return int(rounded) if self._rounds or rounded == amount else format(amount, "f")
        return format(amount.quantize(_FRACTION, context=_CONTEXT) if self._rounds else amount, "f")

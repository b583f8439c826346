"""Numbers and amounts of money as people write them → exact decimals.

Rules:

- A grouping sign stands between groups of three digits, or the text is no number. White space that
  does not break (U+00A0, U+202F, U+2009) groups everywhere; another sign where it was told.
- A currency's sign or code beside the number is not part of it. A code is told, so that an amount
  is never taken for one of another currency.
- A minus is ``-`` or U+2212 before the number or behind it, or the number is in parentheses; zero
  has none.
- A number that came as one (JSON's, say) is what it is, whatever signs texts have.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from unicodedata import category

from stream.domain.money import EXPONENTS

MOST: Final = 10**12
"""Of units or minor units; from here on, it is no number of anything."""

_SPACES: Final = " \u00a0\u202f\u2009"
_SIGNS: Final = ("kr.", "kr", "zł", "Kč", "Ft", "Fr.", "Fr", "lei", "руб.", "руб", "Rp", "RM", "S/")
_DOLLARS: Final = re.compile(r"(?:US|USD|AU|A|C|CA|CAD|NZ|HK|S|SG|R|MX|NT|AR|CL|CO)\$")
_CODE: Final = re.compile(r"([A-Za-z]{3})(?![A-Za-z])|(?<![A-Za-z])([A-Za-z]{3})$")
_PLAIN: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,18})?").fullmatch
_WHOLE_MOST: Final = 4_000  # digits: more are a matter of time to compute with

#: Reads a value; None if it is no number.
NumberReader: TypeAlias = Callable[[object], Decimal | None]


class NumberFormat(NamedTuple):
    """The signs of a country: before the fraction, and between groups of digits (empty: none)."""

    decimal: str = "."
    thousands: str = ""


class Amount(NamedTuple):
    """A number, and the ISO 4217 code that stood beside it, if any."""

    value: Decimal
    currency: str | None = None


def number(value: object) -> Decimal | None:
    """Read a finite number below 10^12, exactly; None if it is none.

    >>> number("2.55"), number(0.1), number("-0.00"), number("nan"), number("1e99"), number(True)
    (Decimal('2.55'), Decimal('0.1'), Decimal('0.00'), None, None, None)
    """
    return number_reader(NumberFormat())(value)


def whole(value: object) -> int | None:
    """Read a whole number, however it is written; None if it is not one.

    >>> whole("6"), whole("-1.0"), whole(3), whole("0.5"), whole("many")
    (6, -1, 3, None, None)
    """
    if isinstance(value, str) and value.isdecimal() and value.isascii() and len(value) < 12:
        return int(value)
    return as_whole(number(value))


def as_whole(found: Decimal | None) -> int | None:
    """Return a decimal as a whole number; None if it is not one."""
    return int(found) if found is not None and found == found.to_integral_value() else None


@lru_cache(maxsize=64)
def number_reader(form: NumberFormat) -> NumberReader:
    """Build the reader of numbers that are written in one way.

    Examples
    --------
    >>> read = number_reader(NumberFormat(",", "."))
    >>> read("1.234,5"), read("3.50"), read("1\\u00a0234"), read(12.5), read("1.2.3")
    (Decimal('1234.5'), None, Decimal('1234'), Decimal('12.5'), None)
    """
    parse = _parser(form)

    def read(value: object) -> Decimal | None:
        if isinstance(value, str):
            return parse(value.strip(_SPACES))
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            return None
        return _bounded(repr(value) if isinstance(value, float) else value)

    return read


@lru_cache(maxsize=64)
def amount_reader(form: NumberFormat) -> Callable[[object], Amount | None]:
    """Build the reader of amounts of money.

    Examples
    --------
    >>> read = amount_reader(NumberFormat(",", "."))
    >>> read("1.234,50 €"), read("12,5 EUR"), read("R$ 12"), read("a lot")
    (Amount(value=Decimal('1234.50'), currency=None), Amount(value=Decimal('12.5'), \
currency='EUR'), Amount(value=Decimal('12'), currency=None), None)
    """
    read_number = number_reader(form)

    def read(value: object) -> Amount | None:
        if not isinstance(value, str):
            found = read_number(value)
            return None if found is None else Amount(found)
        text, code = _bare(value)
        found = read_number(text)
        return None if found is None else Amount(found, code)

    return read


def code_in(text: str) -> str | None:
    """The ISO 4217 code that stands beside an amount; None if there is none.

    >>> code_in("12.5 EUR"), code_in("usd 3"), code_in("12.5"), code_in("12 kr")
    ('EUR', 'USD', None, None)
    """
    return None if text[-1:].isdecimal() and text[:1].isdecimal() else _bare(text)[1]


def plain(found: Decimal) -> str:
    """Write a number in canonical form: digits, a point, at most 18 digits behind it.

    >>> plain(Decimal("1E+3")), plain(Decimal("-0.00")), plain(Decimal("12.50"))
    ('1000', '0.00', '12.50')
    """
    if int(found.as_tuple().exponent) < -18:
        found = round(found, 18)
    return format(found if found else abs(found), "f")


def is_plain(text: str) -> bool:
    """Whether a text is a number in canonical form already."""
    return _PLAIN(text) is not None


def _bare(text: str) -> tuple[str, str | None]:
    """Take a currency's sign or code off an amount."""
    text = text.strip(_SPACES)
    if text.isascii() and text[:1].isdecimal() and text[-1:].isdecimal():
        return text, None
    if match := _CODE.search(text):
        code = match.group().upper()
        if code in EXPONENTS and (match.start() == 0 or match.end() == len(text)):
            return (text[: match.start()] + text[match.end() :]).strip(_SPACES), code
    text = _DOLLARS.sub("", text)
    for sign in _SIGNS:
        if text.endswith(sign) or text.startswith(sign):
            text = text.removesuffix(sign).removeprefix(sign)
            break
    return "".join(c for c in text if category(c) != "Sc").strip(_SPACES), None


def _parser(form: NumberFormat) -> Callable[[str], Decimal | None]:
    decimal = form.decimal
    grouping = "".join({*_SPACES, *(form.thousands or "")}) + ("’" if form.thousands == "'" else "")
    sign = f"[{re.escape(grouping)}]"
    match = re.compile(
        rf"(?P<minus>[-\u2212+(]?)[{_SPACES}]*"
        rf"(?P<whole>[0-9]+|[0-9]{{1,3}}(?:{sign}[0-9]{{3}})+)?"
        rf"(?:{re.escape(decimal)}(?P<fraction>[0-9]*))?"
        r"(?P<exponent>[eE][-+]?[0-9]{1,3})?"
        r"(?P<behind>[-\u2212)]?)"
    ).fullmatch
    drop = str.maketrans("", "", grouping)

    def parse(text: str) -> Decimal | None:
        found = match(text)
        if found is None:
            return None
        minus, digits, fraction, exponent, behind = found.groups("")
        if not (digits or fraction) or len(text) > _WHOLE_MOST:
            return None
        if (minus == "(") != (behind == ")") or (minus not in ("", "(") and behind):
            return None
        value = _bounded(f"{digits.translate(drop) or '0'}.{fraction or ''}{exponent}")
        if value is None or not value:
            return value
        return -value if minus in ("-", "\u2212", "(") or behind in ("-", "\u2212") else value

    return parse


def _bounded(value: object) -> Decimal | None:
    try:
        found = Decimal(value)  # type: ignore[arg-type]
    except (InvalidOperation, ValueError):
        return None
    if not found.is_finite() or abs(found) >= MOST:
        return None
    return found if found else abs(found)

"""Money: decimal amounts outside, integer minor units of an ISO 4217 currency inside.

Rules. An amount is exact: a decimal string is never turned into a float, and a float stands for
the shortest decimal that reads back as it (so 0.1 is one tenth). Halves round to even.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from typing import Final

MAX_MINOR: Final = 10**13
"""The largest amount accepted, in minor units: ten thousand million of any currency.

It is far below 2**53, so that sums of such amounts stay exact in 64 bits.
"""

_TWO = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD
GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR
PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"
_FOUR = "CLF UYW"
# Withdrawn since 2010, all with two digits but BYR: a replay of an old log meets them.
_WITHDRAWN = "ANG BGN CUC EEK HRK LTL LVL MRO SLL STD VEF ZMK ZWL"

EXPONENTS: Final[dict[str, int]] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_WITHDRAWN.split(), 2),
    **dict.fromkeys(_NONE.split(), 0),
    "BYR": 0,
    **dict.fromkeys(_THREE.split(), 3),
    **dict.fromkeys(_FOUR.split(), 4),
}
"""Digits after the decimal point of each currency (ISO 4217, list one, and part of list three)."""

_FACTORS: Final[dict[str, int]] = {
    currency: 10**exponent for currency, exponent in EXPONENTS.items()
}
_EXACT: Final = Context(prec=64, rounding=ROUND_HALF_EVEN)
_MAX_DIGITS: Final = 30  # of an amount's whole part: beyond any money, and cheap to compute with
_SHORT: Final = 18  # characters of an amount as most are, that fit a machine's word
_NEAR: Final = 1e-6
_FLOAT_SAFE: Final = 1e9


def to_minor(amount: int | float | str | Decimal, currency: str) -> int:
    """Return ``amount`` of ``currency`` in minor units, halves rounded to even.

    Parameters
    ----------
    amount
        In major units (euros, not cents); a string is a plain or scientific decimal.
    currency
        An ISO 4217 code in capitals.

    Returns
    -------
    int
        Of any sign and, unlike an event's money, not bounded by :data:`MAX_MINOR`.

    Raises
    ------
    ValueError
        If the currency is unknown, or the amount is no finite decimal or has over 30 digits
        before its point. The message does not hold the amount.

    Examples
    --------
    >>> to_minor("12.34", "EUR"), to_minor(35.79, "USD"), to_minor(1200, "JPY")
    (1234, 3579, 1200)
    >>> to_minor("1.2345", "KWD"), to_minor("1.005", "EUR"), to_minor("1.015", "EUR")
    (1234, 100, 102)
    >>> to_minor("12,34", "EUR")
    Traceback (most recent call last):
    ...
    ValueError: the amount is not a decimal number
    """
    factor = _FACTORS.get(currency)
    if factor is None:
        raise ValueError("the currency is not an ISO 4217 code")
    if isinstance(amount, float):
        scaled = amount * factor
        if -_FLOAT_SAFE < scaled < _FLOAT_SAFE:
            # Below 1e9 the product is off by less than 3e-7: this near to an integer, the
            # amount's own decimal rounds to that integer too.
            nearest = round(scaled)
            if -_NEAR < scaled - nearest < _NEAR:
                return nearest
    elif isinstance(amount, str):
        whole, _, fraction = amount.partition(".")
        missing = EXPONENTS[currency] - len(fraction)
        if missing >= 0 and len(amount) < _SHORT and (digits := whole + fraction).isdecimal():
            return int(digits + "0" * missing)
    elif isinstance(amount, int) and not isinstance(amount, bool):
        return amount * factor
    return _exactly(amount, factor)


def to_major(minor: int, currency: str) -> str:
    """Return the decimal string of ``minor`` units of ``currency``; the inverse of `to_minor`.

    Raises
    ------
    ValueError
        If the currency is unknown.

    Examples
    --------
    >>> to_major(1234, "EUR"), to_major(-5, "EUR"), to_major(1200, "JPY"), to_major(1, "KWD")
    ('12.34', '-0.05', '1200', '0.001')
    """
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        raise ValueError("the currency is not an ISO 4217 code")
    return str(Decimal(minor).scaleb(-exponent, _EXACT)) if exponent else str(minor)


def _exactly(amount: int | float | str | Decimal, factor: int) -> int:
    if isinstance(amount, bool):
        raise ValueError("the amount is not a decimal number")
    try:
        decimal = Decimal(repr(amount) if isinstance(amount, float) else amount)
    except (InvalidOperation, ValueError, TypeError):
        raise ValueError("the amount is not a decimal number") from None
    if not decimal.is_finite():
        raise ValueError("the amount is not finite")
    if decimal.adjusted() >= _MAX_DIGITS:
        raise ValueError("the amount has too many digits")
    return int(_EXACT.multiply(decimal, factor).to_integral_value(ROUND_HALF_EVEN))

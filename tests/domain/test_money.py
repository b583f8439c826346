"""Money: exact, half-even, and bounded whatever it is given."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.domain.money import EXPONENTS, to_major, to_minor

currencies = st.sampled_from(sorted(EXPONENTS))


@given(st.decimals(-(10**12), 10**12, allow_nan=False, places=5), currencies)
def test_a_decimal_string_is_rounded_once_and_half_to_even(amount: Decimal, currency: str) -> None:
    expected = (amount * 10 ** EXPONENTS[currency]).to_integral_value(ROUND_HALF_EVEN)
    assert to_minor(str(amount), currency) == expected
    assert to_minor(amount, currency) == expected


@given(st.floats(-1e15, 1e15), currencies)
def test_a_float_stands_for_its_shortest_decimal(amount: float, currency: str) -> None:
    assert to_minor(amount, currency) == to_minor(repr(amount), currency)


@given(st.integers(0, 10**9), st.integers(0, 9), currencies)
def test_the_fast_way_with_floats_is_the_exact_way(whole: int, digits: int, currency: str) -> None:
    text = f"{Decimal(whole).scaleb(-digits):f}"
    assert to_minor(float(text), currency) == to_minor(text, currency)


@given(st.integers(-(10**18), 10**18), currencies)
def test_major_and_minor_units_are_inverse(minor: int, currency: str) -> None:
    assert to_minor(to_major(minor, currency), currency) == minor


@pytest.mark.parametrize("currency", ["EUR", "JPY", "KWD", "CLF"])
def test_each_currency_has_its_own_exponent(currency: str) -> None:
    exponent = {"EUR": 2, "JPY": 0, "KWD": 3, "CLF": 4}[currency]
    assert to_minor(7, currency) == to_minor("7", currency) == 7 * 10**exponent


NO_TEXTS = ("", "x", "1,5", "NaN", "Infinity", "-sNaN", "1e999999999", "9" * 31)
NO_NUMBERS = (float("nan"), float("inf"), float("-inf"), 1e300, True, Decimal("NaN"))


@pytest.mark.parametrize("amount", [*NO_TEXTS, *NO_NUMBERS], ids=repr)
def test_what_is_no_amount_is_refused_without_repeating_it(amount: float | str | Decimal) -> None:
    with pytest.raises(ValueError, match=r"^the amount (is not|has too)"):
        to_minor(amount, "EUR")


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "XXX", "XAU", "€"])
def test_what_is_no_currency_is_refused(currency: str) -> None:
    with pytest.raises(ValueError, match="ISO 4217"):
        to_minor(1, currency)
    with pytest.raises(ValueError, match="ISO 4217"):
        to_major(1, currency)

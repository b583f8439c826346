"""The nearest form that keeps a rule: what a producer most likely meant.

Rules. It is a hint for people, and nothing is sent by it. What is not near is not guessed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

import orjson

ALIASES: Final = {
    "customer_id": ("user_id", "userid", "user", "customer", "uid", "client_id", "visitor_id"),
    "event_id": ("id", "message_id", "messageid", "uuid", "insert_id"),
    "timestamp": ("time", "ts", "event_time", "date", "datetime", "created_at", "occurred_at"),
    "event": ("type", "event_type", "event_name", "name", "action"),
    "product_id": ("item_id", "sku", "item", "product", "article", "asin", "variant_id"),
    "order_id": ("order", "transaction_id", "invoice", "order_number"),
    "products": ("items", "lines", "line_items", "basket", "cart"),
    "price": ("amount", "unit_price", "value", "cost"),
    "quantity": ("qty", "count", "units"),
    "offer_id": ("promotion_id", "offer", "promo_id"),
}
"""What others call our fields."""

_WORDS: Final = {
    "pageview": "view", "page_view": "view", "viewed": "view", "product viewed": "view",
    "cart": "add_to_cart", "addtocart": "add_to_cart", "remove": "remove_from_cart",
    "buy": "purchase", "bought": "purchase", "order": "purchase", "transaction": "purchase",
    "return": "refund", "cancel": "refund", "shown": "impression", "seen": "impression",
    "close": "dismiss", "closed": "dismiss",
}  # fmt: skip
_MONEY: Final = frozenset(("price", "margin"))
_SECONDS: Final = range(631_152_000, 4_102_444_800)
_MICROSECONDS: Final = range(631_152_000_000_000, 4_102_444_800_000_000)
_GROUPED: Final = re.compile(r"[^0-9]*([0-9]{1,3}(?:[.,'\u2019\u00a0 ][0-9]{3})*|[0-9]+)"
                             r"(?:[.,]([0-9]{1,2}))?[^0-9]*")  # fmt: skip


def nearest_name(name: str, others: Sequence[str]) -> str | None:
    """Which of some names most likely means ``name``.

    >>> nearest_name("customer_id", ["custmer_id", "page"]), nearest_name("product_id", ["SKU"])
    ('custmer_id', 'SKU')
    >>> nearest_name("event_id", ["brand"]) is None
    True
    """
    lowered = {other.lower(): other for other in reversed(others)}
    for alias in ALIASES.get(name, ()):
        if alias in lowered:
            return lowered[alias]
    for ours, aliases in ALIASES.items():
        if name.lower() in aliases and ours in lowered:
            return lowered[ours]
    close = get_close_matches(name.lower(), list(lowered), 1, 0.75)
    return lowered[close[0]] if close else None


def nearest_form(kind: Any, path: Sequence[str | int], value: Any) -> str | None:
    """A form of a value that keeps the rule which it breaks, as JSON; None if none is near.

    Parameters
    ----------
    kind
        The rule, as jsonschema-rs has it.
    path
        To the value.
    value
    """
    field = next((step for step in reversed(path) if isinstance(step, str)), "")
    form = _form(kind, field, value)
    return None if form is None else orjson.dumps(form).decode()


def _form(kind: Any, field: str, value: Any) -> Any:
    rule = kind.name
    if rule == "enum":
        return _option(value, list(kind.options))
    if field in ("timestamp", "added_at", "starts_at", "ends_at"):
        return _time(value)
    if rule == "type":
        return _typed(set(kind.types), value)
    if rule in ("pattern", "format"):
        if field == "currency" and isinstance(value, str):
            code = value.strip().upper()
            return code if re.fullmatch("[A-Z]{3}", code) else None
        return _amount(value) if field in _MONEY else None
    return None


def _option(value: Any, options: list[Any]) -> Any:
    if not isinstance(value, str):
        return None
    word = value.strip().lower()
    for form in (word, word.replace(" ", "_").replace("-", "_"), _WORDS.get(word)):
        if form in options:
            return form
    close = get_close_matches(word, [each for each in options if isinstance(each, str)], 1, 0.6)
    return close[0] if close else None


def _typed(types: set[str], value: Any) -> Any:
    if "string" in types and type(value) in (int, float):
        return repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, str):
        word = value.strip().lower()
        if "boolean" in types and word in ("true", "false", "yes", "no"):
            return word in ("true", "yes")
        if types & {"integer", "number"} and re.fullmatch(r"-?[0-9]{1,15}", word):
            return int(word)
        if "number" in types and re.fullmatch(r"-?[0-9]{1,15}\.[0-9]{1,9}", word):
            return float(word)
    if "integer" in types and isinstance(value, float) and value.is_integer():
        return int(value)
    if "array" in types and isinstance(value, dict):
        return [value]
    return None


def _amount(value: Any) -> str | None:
    """A price in the one way in which it is read.

    >>> [_amount(text) for text in ("1.234,50", "12,5", "$ 1,234.50", "free", "1 234")]
    ['1234.50', '12.5', '1234.50', None, '1234']
    """
    match = _GROUPED.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None
    whole = re.sub(r"[^0-9]", "", match[1])
    return f"{whole}.{match[2]}" if match[2] else whole


def _time(value: Any) -> int | str | None:
    """A time as it is read: what was seconds or microseconds in milliseconds, a date in RFC 3339.

    >>> _time(1714556700), _time("1714556700250"), _time("2024-05-01 09:30:00Z")
    (1714556700000, 1714556700250, '2024-05-01T09:30:00Z')
    """
    if isinstance(value, str) and re.fullmatch(r"[0-9]{9,17}", value.strip()):
        number = int(value)
        return _time(number) or number
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is int:
        if value in _SECONDS:
            return value * 1000
        return value // 1000 if value in _MICROSECONDS else None
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.tzinfo is None:
            return None  # nobody knows where it was that late
        return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError):
        return None

"""The native form: a validated JSON object to an event, and an event to its canonical JSON.

Rules. A reader takes the fields that it knows out of the object, so that what is left is what
nobody knew. It relies on the schema for types and bounds, and adds what a schema can't say: the
calendar, the currencies, and sums. ``write(read(x))`` is canonical, and ``read(write(e)) == e``.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeAlias

from msgspec.structs import asdict

from stream.codec.refused import Refused
from stream.core.event import (
    Action,
    Click,
    Consent,
    CustomerUpdate,
    Event,
    Feedback,
    Line,
    Purchase,
    RejectionCode,
    Response,
    Trade,
)
from stream.core.money import EXPONENTS, MAX_MINOR, to_minor
from stream.core.text import tidy

LABEL_LENGTH: Final = 128
TRAIT_LENGTH: Final = 256
MIN_TIME: Final = 631_152_000_000  # 1990: nothing was sold online before
MAX_TIME: Final = 4_102_444_799_999  # 2099, so that no time to live leaves the calendar

Native: TypeAlias = dict[str, Any]


class Decoded(NamedTuple):
    """An event, and how many of the record's fields nobody knew."""

    event: Event
    extra_fields: int


Reader: TypeAlias = Callable[[Native, str], Decoded]

_ACTIONS: Final = {action.value: action for action in Action}
_TRADES: Final = {trade.value: trade for trade in Trade}
_RESPONSES: Final = {response.value: response for response in Response}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

_new: Final = tuple.__new__  # of a NamedTuple: half the cost of calling its class


def read_click(data: Native, currency: str) -> Decoded:
    """Return the click in ``data`` and the number of fields that nobody knew."""
    # The hot path of the whole system: most fields are as they should be, and cost no call.
    pop = data.pop
    time = pop("timestamp")
    given = pop("currency", None)
    amount = pop("price", None)
    price = pop("price_minor", None)
    category = pop("category", None) or None
    brand = pop("brand", None) or None
    quantity = pop("quantity", None) or 1
    consent = pop("consent", None)
    pop("schema_version", None)
    if given is not None and given not in EXPONENTS:
        given = currency_of(given)
    if price is not None or amount is not None:
        given = given or currency
        if type(price) is not int:
            price = minor(amount, price, given, "price")
    if category is not None and len(category) > LABEL_LENGTH:
        category = category[:LABEL_LENGTH]
    if brand is not None and len(brand) > LABEL_LENGTH:
        brand = brand[:LABEL_LENGTH]
    event = Click(
        pop("event_id"),
        pop("customer_id"),
        time if type(time) is int else instant(time, "timestamp"),
        _ACTIONS[pop("event")],
        pop("product_id"),
        price,
        given,
        category,
        brand,
        quantity if type(quantity) is int else int(quantity),
        pop("session_id", None),
        consent if consent is None else _consent(consent),
    )
    return _new(Decoded, (event, len(data)))


def read_purchase(data: Native, currency: str) -> Decoded:
    """Return the purchase in ``data`` and the number of fields that nobody knew."""
    pop = data.pop
    given = currency_of(pop("currency", None)) or currency
    rows = pop("products", None) or ()
    lines = tuple(_line(row, given) for row in rows)
    total = sum((line.price or 0) * line.quantity for line in lines)
    if total > MAX_MINOR:
        raise Refused(RejectionCode.VALUE_RANGE, f"/products add up to more than {MAX_MINOR}")
    event = Purchase(
        pop("event_id"),
        pop("customer_id"),
        instant(pop("timestamp"), "timestamp"),
        _TRADES[pop("event")],
        pop("order_id"),
        given,
        lines,
        pop("session_id", None),
        _consent(pop("consent", None)),
    )
    pop("schema_version", None)
    return Decoded(event, len(data) + sum(map(len, rows)))


def read_feedback(data: Native, currency: str) -> Decoded:
    """Return the feedback in ``data`` and the number of fields that nobody knew."""
    pop = data.pop
    event = Feedback(
        pop("event_id"),
        pop("customer_id"),
        instant(pop("timestamp"), "timestamp"),
        _RESPONSES[pop("event")],
        pop("offer_id"),
        pop("product_id", None),
        _consent(pop("consent", None)),
    )
    pop("schema_version", None)
    return _new(Decoded, (event, len(data)))


def read_customer(data: Native, currency: str) -> Decoded:
    """Return the update in ``data``, its traits by name, and the number of unknown fields."""
    pop = data.pop
    given = pop("traits", None) or {}
    traits = {tidy(name): cut(value, TRAIT_LENGTH) for name, value in given.items()}
    event = CustomerUpdate(
        pop("event_id"),
        pop("customer_id"),
        instant(pop("timestamp"), "timestamp"),
        tuple(sorted((name, value) for name, value in traits.items() if name)),
        bool(pop("erase", None)),
        _consent(pop("consent", None)),
    )
    pop("schema_version", None)
    return _new(Decoded, (event, len(data)))


READERS: Final[dict[str, Reader]] = {
    "clicks": read_click,
    "purchases": read_purchase,
    "feedback": read_feedback,
    "customers": read_customer,
}


def instant(value: str | float, field: str) -> int:
    """Return a time in ms since the epoch, cut to whole milliseconds.

    Parameters
    ----------
    value
        An RFC 3339 date-time (a leap second is the one before it), or integral milliseconds.
    field
        Its name, to complain about.

    Raises
    ------
    Refused
        ``value_range`` if it is before 1990, after 2099 or in no calendar.

    Examples
    --------
    >>> instant("2019-10-01T00:00:00.5+02:00", "timestamp")
    1569880800500
    """
    if not isinstance(value, str):
        return int(value)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = _odd_moment(value, field)
    time = (moment - _EPOCH) // _MILLISECOND
    if MIN_TIME <= time <= MAX_TIME:
        return time
    raise Refused(RejectionCode.VALUE_RANGE, f"/{field} is not between 1990 and 2099")


def currency_of(code: str | None) -> str | None:
    """Return ``code`` if it is a currency or absent; Refused with ``value_range`` if it is not."""
    if code is not None and code not in EXPONENTS:
        raise Refused(RejectionCode.VALUE_RANGE, "/currency is not an ISO 4217 code")
    return code


def minor(amount: float | str | None, exact: float | None, currency: str, field: str) -> int | None:
    """Return money in minor units, from ``exact`` if given; Refused if it is too much."""
    if exact is not None:
        return int(exact)
    if amount is None:
        return None
    try:
        value = to_minor(amount, currency)
    except ValueError as error:
        raise Refused(RejectionCode.VALUE_RANGE, f"/{field}: {error}") from None
    if not -MAX_MINOR <= value <= MAX_MINOR:
        raise Refused(RejectionCode.VALUE_RANGE, f"/{field} is more than {MAX_MINOR} minor units")
    return value


def label(text: str | None) -> str | None:
    """Return free text cut to 128 characters, None for nothing.

    >>> label(""), label("shoes")
    (None, 'shoes')
    """
    return text[:LABEL_LENGTH] if text else None


def cut(value: Any, length: int) -> Any:
    """Return ``value``, cut to ``length`` characters if it is a text."""
    return value[:length] if isinstance(value, str) else value


def _odd_moment(value: str, field: str) -> datetime:
    """Read what RFC 3339 allows and Python does not: small t and z, and leap seconds."""
    text = value.upper()
    if text[17:19] == "60":
        text = text[:17] + "59" + text[19:]
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise Refused(RejectionCode.VALUE_RANGE, f"/{field} is in no calendar") from None


def _line(row: Native, currency: str) -> Line:
    pop = row.pop
    return Line(
        pop("product_id"),
        minor(pop("price", None), pop("price_minor", None), currency, "products/*/price"),
        int(pop("quantity", None) or 1),
        label(pop("category", None)),
        label(pop("brand", None)),
    )


def _consent(data: Native | None) -> Consent | None:
    return None if data is None else Consent(data.get("profiling"), data.get("offers"))


def write(event: Event) -> Native:
    """Return the canonical native form: times in ms, money in minor units, nothing absent."""
    if isinstance(event, Click):
        native = _write_click(event)
    elif isinstance(event, Purchase):
        native = _write_purchase(event)
    elif isinstance(event, Feedback):
        native = {
            "event": event.response.value,
            "offer_id": event.offer_id,
            "product_id": event.item_id,
        }
    else:
        native = {"traits": dict(event.traits) or None, "erase": event.erase or None}
    head = {
        "schema_version": 1,
        "event_id": event.event_id,
        "customer_id": event.customer_id,
        "timestamp": event.time,
    }
    consent = None if event.consent is None else present(asdict(event.consent))
    return head | present(native) | present({"consent": consent})


def present(fields: Native) -> Native:
    """Return the fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def _write_click(event: Click) -> Native:
    return {
        "event": event.action.value,
        "product_id": event.item_id,
        "price_minor": event.price,
        "currency": event.currency,
        "category": event.category,
        "brand": event.brand,
        "quantity": event.quantity,
        "session_id": event.session_id,
    }


def _write_purchase(event: Purchase) -> Native:
    return {
        "event": event.trade.value,
        "order_id": event.order_id,
        "currency": event.currency,
        "products": [_write_line(line) for line in event.lines],
        "session_id": event.session_id,
    }


def _write_line(line: Line) -> Native:
    return present(
        {
            "product_id": line.item_id,
            "price_minor": line.price,
            "quantity": line.quantity,
            "category": line.category,
            "brand": line.brand,
        }
    )

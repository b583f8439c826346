"""The native form: a validated JSON object to an event, and an event to its canonical JSON.

Rules. A reader relies on the schema for types and bounds, and adds what a schema can't say: the
calendar, the currencies, and sums. What nobody knew is set aside and counted.
``write(read(x))`` is canonical, and ``read(write(e)) == e``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Set
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from msgspec import convert
from msgspec.structs import asdict, replace

from stream.codec.events.permission import nearest, taken_out
from stream.codec.events.typed import FieldTypes
from stream.codec.refused import Refused
from stream.domain.event import (
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
from stream.domain.money import EXPONENTS, MAX_MINOR, to_minor
from stream.domain.text import tidy
from stream.grammar.times import moment

LABEL_LENGTH: Final = 128
TRAIT_LENGTH: Final = 256
MIN_TIME: Final = 631_152_000_000  # 1990: nothing was sold online before
MAX_TIME: Final = 4_102_444_799_999  # 2099, so that no time to live leaves the calendar

Native: TypeAlias = dict[str, Any]


Reader: TypeAlias = Callable[[Any, str], Event]
"""From an object's fields, as attributes (`stream.codec.events.typed`), and the shop's currency."""

SPELLINGS: Final = {
    "currency": tuple(EXPONENTS),
    "schema_version": ("1", *(f"1.{minor}" for minor in range(10))),
}
"""The texts that fields with a pattern have, as a rule: looked up, they need not be matched."""

_ACTIONS: Final = {action.value: action for action in Action}
_TRADES: Final = {trade.value: trade for trade in Trade}
_RESPONSES: Final = {response.value: response for response in Response}
_USUAL_TIME: Final = re.compile(  # of RFC 3339's forms: capitals, to the microsecond
    r"\d\d\d\d-\d\d-\d\dT(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{1,6})?"
    r"(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_NONE: Final = frozenset[str]()
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def read(
    data: Native, known: FieldTypes, event_of: Reader, currency: str
) -> tuple[Event, int, Set[str]]:
    """Return the event in a valid object, and what nobody knew.

    Returns
    -------
    tuple
        The event, how many fields nobody knew, and the names of those that are the object's own.

    Raises
    ------
    Refused
        For what a schema can't say.
    """
    consent = data.pop("consent", None)
    fields = convert(data, known.loose)
    unknown = _unknown(data, known.names)
    count = len(unknown)
    for name, (_, _, names, _) in known.rows.items():
        count += sum([len(_unknown(row, names)) for row in data.get(name) or ()])
    event = event_of(fields, currency)
    if consent is not None:
        event = replace(event, consent=_consent(consent))
        count += len(consent)
    return event, count, unknown


def read_click(fields: Any, currency: str) -> Click:
    """Return the click in the fields of its contract."""
    # The hot path of the whole system: most fields are as they should be, and cost no call.
    time, quantity = fields.timestamp, fields.quantity or 1
    amount, price, given = fields.price, fields.price_minor, fields.currency
    category, brand = fields.category or None, fields.brand or None
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
    return Click(
        fields.event_id,
        fields.customer_id,
        time if type(time) is int else instant(time, "timestamp"),
        _ACTIONS[fields.event],
        fields.product_id,
        price,
        given,
        category,
        brand,
        quantity if type(quantity) is int else int(quantity),
        fields.session_id,
        _said(fields.consent),
    )


def read_purchase(fields: Any, currency: str) -> Purchase:
    """Return the purchase in the fields of its contract."""
    given = currency_of(fields.currency) or currency
    lines = tuple([_line(row, given) for row in fields.products or ()])
    total = sum([(line.price or 0) * line.quantity for line in lines])
    if total > MAX_MINOR:
        raise Refused(RejectionCode.VALUE_RANGE, f"/products add up to more than {MAX_MINOR}")
    return Purchase(
        fields.event_id,
        fields.customer_id,
        instant(fields.timestamp, "timestamp"),
        _TRADES[fields.event],
        fields.order_id,
        given,
        lines,
        fields.session_id,
        _said(fields.consent),
    )


def read_feedback(fields: Any, currency: str) -> Feedback:
    """Return the feedback in the fields of its contract."""
    return Feedback(
        fields.event_id,
        fields.customer_id,
        instant(fields.timestamp, "timestamp"),
        _RESPONSES[fields.event],
        fields.offer_id,
        fields.product_id,
        _said(fields.consent),
    )


def read_customer(fields: Any, currency: str) -> CustomerUpdate:
    """Return the update in the fields of its contract, its traits by name."""
    given = fields.traits or {}
    traits = {tidy(name): cut(value, TRAIT_LENGTH) for name, value in given.items()}
    traits.pop("", None)
    return CustomerUpdate(
        fields.event_id,
        fields.customer_id,
        instant(fields.timestamp, "timestamp"),
        tuple(sorted(traits.items())),
        bool(fields.erase),
        _said(fields.consent),
    )


is_usual_time: Final = _USUAL_TIME.fullmatch
"""Whether a text is a date-time for certain, of some day."""

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
    >>> instant("2019-10-01T00:00:00.5009+02:00", "timestamp")
    1569880800500
    """
    if not isinstance(value, str):
        return int(value)
    try:
        when = datetime.fromisoformat(value)
    except ValueError:  # RFC 3339 allows more: small t and z, and leap seconds
        try:
            when = moment(value)
        except ValueError:
            raise Refused(RejectionCode.VALUE_RANGE, f"/{field} is in no calendar") from None
    since = when - _EPOCH  # whole days and seconds, and microseconds from 0 on
    time = since.days * 86_400_000 + since.seconds * 1000 + since.microseconds // 1000
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


def _unknown(data: Native, names: frozenset[str]) -> Set[str]:
    return _NONE if names.issuperset(data) else set(data) - names


def _line(row: Any, currency: str) -> Line:
    return Line(
        row.product_id,
        minor(row.price, row.price_minor, currency, "products/*/price"),
        int(row.quantity or 1),
        label(row.category),
        label(row.brand),
    )


def _said(consent: Any) -> Consent | None:
    return None if consent is None else Consent(consent.profiling, consent.offers)


def _consent(data: Native) -> Consent:
    """Take consent out of its object: what is left of that is what nobody knew."""
    count = len(data)
    profiling, offers = data.pop("profiling", None), data.pop("offers", None)
    if data:
        refused = taken_out(data)
        if len(data) == count:
            meant = nearest(data)
            raise Refused(RejectionCode.SCHEMA, f"/consent knows no such name: /{meant} is nearest")
        profiling = False if "profiling" in refused else profiling
        offers = False if "offers" in refused else offers
    return Consent(profiling, offers)


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

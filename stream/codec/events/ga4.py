"""Google Analytics 4, read as this system's own events: Measurement Protocol and BigQuery export.

Rules. One record is one event: a body of the Measurement Protocol may have several, of which one
says something here. The customer is ``user_id``, else ``client_id``, ``user_pseudo_id`` or
``app_instance_id``; the time is in microseconds, or else the record's own. Nothing names an event
of GA4: its id is ``event_id`` of its parameters, else a hash of all that it says, so that what is
sent again is told again. Names that nobody here needs, a shop's own among them, are `Ignored`: GA4
has a closed list of those that matter. Google's consent signals are about Google's storage, and are
no word of the customer's on profiling or offers; what takes permission away in this system's own
words is heard. The names are those of Google's references [1]_, [2]_, [3]_.

References
----------
.. [1] developers.google.com/analytics/devguides/collection/protocol/ga4/reference
.. [2] developers.google.com/analytics/devguides/collection/ga4/reference/events
.. [3] support.google.com/analytics/answer/7029846 (BigQuery export schema)
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final

import orjson

from stream.codec.events.permission import taken
from stream.codec.events.segment import Ignored
from stream.codec.refused import Refused
from stream.domain.event import RejectionCode
from stream.grammar.words import is_nothing

_EVENTS: Final = {
    "view_item": ("clicks", "view"),
    "page_view": ("clicks", "view"),
    "screen_view": ("clicks", "view"),
    "select_item": ("clicks", "click"),
    "add_to_cart": ("clicks", "add_to_cart"),
    "remove_from_cart": ("clicks", "remove_from_cart"),
    "purchase": ("purchases", "purchase"),
    "ecommerce_purchase": ("purchases", "purchase"),
    "in_app_purchase": ("purchases", "purchase"),
    "refund": ("purchases", "refund"),
    "purchase_refund": ("purchases", "refund"),
    "view_promotion": ("feedback", "impression"),
    "select_promotion": ("feedback", "click"),
}
_PAGES: Final = ("page_view", "screen_view")  # views of an item only if they name one
_CUSTOMERS: Final = ("user_id", "client_id", "user_pseudo_id", "app_instance_id")
_VALUES: Final = ("string_value", "int_value", "double_value", "float_value")
_MARKS: Final = frozenset(
    ("user_pseudo_id", "event_params", "event_timestamp", "client_id", "app_instance_id", "params")
)


def is_ga4(data: dict[str, Any]) -> bool:
    """Tell whether a JSON object is an event, or a body, of Google Analytics 4."""
    if isinstance(data.get("events"), list):
        return not _MARKS.isdisjoint(data) or "user_id" in data or "timestamp_micros" in data
    return "event_name" in data and not _MARKS.isdisjoint(data)


def home_of(data: dict[str, Any]) -> str | None:
    """The topic on which an event of GA4 belongs; None if it is of no use."""
    homes = [_EVENTS[name][0] for name in map(_name, _events(data)) if name in _EVENTS]
    return next((home for home in homes if home != "clicks"), homes[0] if homes else None)


def translate(topic: str, data: dict[str, Any], record_time: int) -> dict[str, Any] | Ignored:
    """Return the native form of an event that arrived on ``topic``, not yet validated.

    Parameters
    ----------
    topic
        One of the four of events.
    data
        The object; `is_ga4`.
    record_time
        The record's own timestamp, in ms, for an event that has none.

    Raises
    ------
    Refused
        ``schema`` if it belongs on another topic, or is more than one event of use.
    """
    events = [event for event in _events(data) if _is_useful(event)]
    if not events:
        return Ignored("ga4_event")
    if len(events) > 1:
        raise Refused(RejectionCode.SCHEMA, "/events has several of use: send one a record")
    event = events[0]
    home, action = _EVENTS[_name(event)]
    if home != topic:
        raise Refused(RejectionCode.SCHEMA, f"/event_name belongs on the topic {home}")
    parameters = _parameters(event)
    native = _head(data, event, parameters, record_time) | {"event": action}
    if home == "clicks":
        return native | _click(event, parameters)
    if home == "purchases":
        return native | _purchase(event, parameters)
    native.pop("session_id", None)
    return native | _feedback(event, parameters)


def _events(data: dict[str, Any]) -> list[dict[str, Any]]:
    events = data.get("events")
    if not isinstance(events, list):
        return [data]
    return [event for event in events if isinstance(event, dict)]


def _name(event: dict[str, Any]) -> str:
    name = event.get("name", event.get("event_name"))
    return name.strip().lower() if isinstance(name, str) else ""


def _is_useful(event: dict[str, Any]) -> bool:
    name = _name(event)
    return name in _EVENTS and (name not in _PAGES or bool(_items(event)))


def _parameters(event: dict[str, Any]) -> dict[str, Any]:
    """An event's parameters by name: a plain object, or the export's list of keys and values."""
    told = event.get("params", event.get("event_params"))
    if isinstance(told, dict):
        return told
    found: dict[str, Any] = {}
    for one in told if isinstance(told, list) else ():
        if isinstance(one, dict) and isinstance(one.get("key"), str):
            value = one.get("value")
            if isinstance(value, dict):
                value = next((value[kind] for kind in _VALUES if value.get(kind) is not None), None)
            found[one["key"]] = value
    return found


def _items(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The items that have a name or an id, of the event or of its parameters."""
    parameters = event.get("params")
    items = event.get("items")
    if not items and isinstance(parameters, dict):
        items = parameters.get("items")
    found = [item for item in items or () if isinstance(item, dict)] if _is_list(items) else []
    return [item for item in found if _product(item) is not None]


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _first(*values: Any) -> Any:
    """The first value that is one: no word for no value, such as ``(not set)``."""
    for value in values:
        if value is not None and not (isinstance(value, str) and is_nothing(value)):
            return value
    return None


def _product(item: dict[str, Any]) -> Any:
    return _first(item.get("item_id"), item.get("item_name"))


def _head(
    data: dict[str, Any], event: dict[str, Any], parameters: dict[str, Any], record_time: int
) -> dict[str, Any]:
    micros = _first(
        event.get("timestamp_micros"), event.get("event_timestamp"), data.get("timestamp_micros")
    )
    time = record_time if micros is None else _milliseconds(micros)
    away = taken(data)
    said: dict[str, Any] = {
        "event_id": _first(parameters.get("event_id"), event.get("event_id")),
        "customer_id": _first(*map(data.get, _CUSTOMERS)),
        "timestamp": time,
        "session_id": _first(parameters.get("ga_session_id"), parameters.get("session_id")),
        "consent": dict.fromkeys(sorted(away.refused), False) or None,
        "erase": away.erase or None,
    }
    if said["event_id"] is None:
        said["event_id"] = _digest(data, event, None if micros is not None else record_time)
    return {name: value for name, value in said.items() if value is not None}


def _milliseconds(micros: Any) -> Any:
    """Microseconds, as a number or digits, as milliseconds; anything else for the contract."""
    if isinstance(micros, str) and micros.isascii() and micros.isdigit() and len(micros) < 20:
        micros = int(micros)
    if isinstance(micros, float) and micros.is_integer():
        micros = int(micros)
    return micros // 1000 if type(micros) is int else micros


def _digest(data: dict[str, Any], event: dict[str, Any], time: int | None) -> str:
    """A hash of who did what and when: of the event, without the others of its body."""
    around = {name: value for name, value in data.items() if name != "events"}
    said = [around, event if event is not data else None, time]
    return blake2b(orjson.dumps(said, option=orjson.OPT_SORT_KEYS), digest_size=16).hexdigest()


def _line(item: dict[str, Any]) -> dict[str, Any]:
    line = {
        "product_id": _product(item),
        "price": _first(item.get("price")),
        "quantity": _first(item.get("quantity")),
        "category": _first(item.get("item_category")),
        "brand": _first(item.get("item_brand")),
    }
    return {name: value for name, value in line.items() if value is not None}


def _click(event: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    items = _items(event)
    if not items:
        raise Refused(RejectionCode.SCHEMA, "/items has no item with an item_id")
    if len(items) > 1:
        raise Refused(RejectionCode.SCHEMA, "/items has several: send an event for each")
    currency = _first(items[0].get("currency"), parameters.get("currency"))
    return _line(items[0]) | ({} if currency is None else {"currency": currency})


def _purchase(event: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    items = _items(event)
    told = event.get("ecommerce")
    ecommerce = told if isinstance(told, dict) else {}
    order = {
        "order_id": _first(parameters.get("transaction_id"), ecommerce.get("transaction_id")),
        "currency": _first(parameters.get("currency"), *(item.get("currency") for item in items)),
        "products": [_line(item) for item in items] or None,
    }
    return {name: value for name, value in order.items() if value is not None}


def _feedback(event: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    told = event.get("items", parameters.get("items"))
    items = [item for item in told if isinstance(item, dict)] if isinstance(told, list) else []
    promotions = (item.get("promotion_id") for item in items)
    found = {"offer_id": _first(parameters.get("promotion_id"), *promotions)}
    products = _items(event)
    if len(products) == 1:
        found["product_id"] = _product(products[0])
    return {name: value for name, value in found.items() if value is not None}

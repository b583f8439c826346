"""Segment's and RudderStack's e-commerce calls, read as this system's own events.

Rules. Names are matched trimmed and without regard to case, the older ones with the words in the
other order (``Completed Order``) too. ``messageId`` is the event's id;
``userId``, else ``anonymousId``, the customer's; ``timestamp``, else ``originalTimestamp``, its
time. Properties keep their names, which ours follow. A call that the specification knows and this
system has no use for is `Ignored`: a producer that sends all it has must not fill the dead letters.
A useful call on the wrong topic, or an unknown one, is refused: it would be lost in silence.
A yes is taken from where the contract has it, to the letter; what takes permission away from
wherever a call may say it (`stream.codec.events.permission`), and it wins. What else of such words
is found in properties and traits, or not understood, is left for the reader to count.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from stream.codec.events.permission import PURPOSES, WORDS, is_no, is_yes, taken
from stream.codec.events.plain import PRODUCT, STAND_INS
from stream.codec.refused import Refused
from stream.domain.event import RejectionCode


class Ignored(NamedTuple):
    """A valid record that this system has no use for; ``reason`` is a bounded metric label."""

    reason: str


_EVENTS: Final = {
    "product viewed": ("clicks", "view"),
    "product clicked": ("clicks", "click"),
    "product added": ("clicks", "add_to_cart"),
    "product removed": ("clicks", "remove_from_cart"),
    "order completed": ("purchases", "purchase"),
    "order refunded": ("purchases", "refund"),
    "order cancelled": ("purchases", "refund"),
    "promotion viewed": ("feedback", "impression"),
    "promotion clicked": ("feedback", "click"),
}
_UNUSED_EVENTS: Final = frozenset(
    (
        "product list viewed",
        "product list filtered",
        "products searched",
        "cart viewed",
        "cart shared",
        "checkout started",
        "checkout step viewed",
        "checkout step completed",
        "payment info entered",
        "order updated",
        "coupon entered",
        "coupon applied",
        "coupon denied",
        "coupon removed",
        "product added to wishlist",
        "product removed from wishlist",
        "wishlist product added to cart",
        "product shared",
        "product reviewed",
    )
)
_OLD: Final = {  # the words of the first specification
    " ".join(reversed(name.split(" "))): name
    for name in (*_EVENTS, "products searched", "cart viewed", "order updated", "coupon applied")
} | {
    "viewed product category": "product list viewed",
    "viewed product list": "product list viewed",
    "viewed checkout step": "checkout step viewed",
    "completed checkout step": "checkout step completed",
    "started checkout": "checkout started",
}
_UNUSED_CALLS: Final = frozenset(("page", "screen", "group", "alias"))
# Set by the envelope alone: a property of that name is another thing.
_RESERVED: Final = frozenset(
    ("event_id", "customer_id", "timestamp", "event", "schema_version", "consent", "erase")
)
_SPEAKING: Final = frozenset(("consent", "consentManagement"))  # of a call's context
# Who somebody is, not what they are like: nothing to decide by, and much to leak.
_IDENTIFYING: Final = frozenset(
    (
        "address",
        "avatar",
        "birthday",
        "description",
        "email",
        "firstname",
        "id",
        "lastname",
        "name",
        "phone",
        "title",
        "username",
        "website",
    )
)


def is_segment(data: dict[str, Any]) -> bool:
    """Tell whether a JSON object is a Segment call."""
    return "messageId" in data or "userId" in data or "anonymousId" in data


def translate(topic: str, call: dict[str, Any]) -> dict[str, Any] | Ignored:
    """Return the native form of a call that arrived on ``topic``, not yet validated.

    Raises
    ------
    Refused
        ``schema`` if the call is unknown, malformed or belongs on another topic.
    """
    kind = _folded(call.get("type", "track"))
    if kind in _UNUSED_CALLS:
        return Ignored("segment_call")
    if kind == "identify":
        _demand(topic, "customers", "/type")
        return _native(call, _update(call))
    if kind != "track":
        raise Refused(RejectionCode.SCHEMA, "/type is no Segment call")
    name = _folded(call.get("event"))
    if name not in _EVENTS:
        name = name.replace("_", " ")
        name = _OLD.get(name, name)
    if name in _UNUSED_EVENTS:
        return Ignored("segment_event")
    home, event = _EVENTS.get(name, ("", ""))
    _demand(topic, home, "/event")
    return _native(call, _properties(call, home), event)


def _folded(text: object) -> str:
    return text.strip().lower() if isinstance(text, str) else ""


def _demand(topic: str, home: str, pointer: str) -> None:
    if not home:
        raise Refused(RejectionCode.SCHEMA, f"{pointer} is no event of Segment's e-commerce")
    if topic != home:
        raise Refused(RejectionCode.SCHEMA, f"{pointer} belongs on the topic {home}")


def _native(
    call: dict[str, Any], payload: dict[str, Any], event: str | None = None
) -> dict[str, Any]:
    context = _object(call, "context")
    away = taken(call, is_call=True)
    allowed, unclear = _allowed(context)
    head = {
        "event_id": call.get("messageId"),
        "customer_id": _first(call, "userId", "anonymousId"),
        "timestamp": _first(call, "timestamp", "originalTimestamp"),
        "event": event,
        "erase": away.erase or call.get("erase"),
        "consent": _consent(call.get("consent"), allowed, away.refused),
    }
    native = payload | {name: value for name, value in head.items() if value is not None}
    native.update(dict.fromkeys(unclear))
    session = context.get("sessionId")
    if event and session is not None and native.get("session_id") in (None, ""):
        native["session_id"] = session
    return native


def _properties(call: dict[str, Any], topic: str) -> dict[str, Any]:
    properties = _object(call, "properties")
    payload = {  # what must not pass for more than a property gets a name that nobody knows
        f"properties.{name}" if name in _RESERVED else name: value
        for name, value in properties.items()
    }
    if topic == "feedback" and payload.get("offer_id") in (None, ""):
        payload["offer_id"] = payload.pop("promotion_id", None)
    if topic == "feedback":
        payload.pop("session_id", None)
    if topic == "clicks":
        _name_product(payload)
    if topic == "purchases":
        if payload.get("order_id") in (None, "") and "orderId" in payload:
            payload["order_id"] = payload.pop("orderId")
        lines = payload.get("products")
        if isinstance(lines, list):
            payload["products"] = [_with_product(line) for line in lines]
    return payload


def _with_product(line: Any) -> Any:
    if isinstance(line, dict) and not line.get(PRODUCT):
        line = dict(line)
        _name_product(line)
    return line


def _name_product(fields: dict[str, Any]) -> None:
    """Take a product's id from where the first specification had it, if it is nowhere else."""
    if fields.get(PRODUCT):
        return
    if all(fields.get(name) in (None, "") for name in (PRODUCT, *STAND_INS)):
        for name in ("productId", "id"):
            if fields.get(name) not in (None, ""):
                fields[PRODUCT] = fields.pop(name)
                return


def _first(call: dict[str, Any], name: str, other: str) -> Any:
    value = call.get(name)
    return call.get(other) if value is None or value == "" else value


def _update(call: dict[str, Any]) -> dict[str, Any]:
    traits = _object(call, "traits") or _object(_object(call, "context"), "traits")
    kept = {
        name: value
        for name, value in traits.items()
        if isinstance(value, str | int | float)
        and name
        and name.replace("_", "").lower() not in _IDENTIFYING
        and name.lower() not in WORDS
    }
    words = (f"traits.{name}" for name in traits if name.lower() in WORDS)
    return {"traits": kept, **dict.fromkeys(words)}


def _consent(said: Any, allowed: list[str], refused: frozenset[str]) -> Any:
    """The call's own consent, with what its context allows and without what is refused."""
    if not (allowed or refused) or not isinstance(said, dict | None):
        return said  # what is no object the schema refuses
    consent = dict(said or ())
    for purpose in allowed:
        if consent.get(purpose) is None:
            consent[purpose] = True
    for purpose in refused:
        consent[purpose] = False
    return consent


def _allowed(context: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What a context allows, in Segment's words or in RudderStack's.

    Returns
    -------
    tuple
        The purposes that it allows, and names that nobody knows for what is neither yes nor no.
    """
    allowed: list[str] = []
    unclear: list[str] = []
    if _SPEAKING.isdisjoint(context):
        return allowed, unclear
    management = _object(context, "consentManagement")
    _ids(management, "deniedConsentIds")
    ids = _ids(management, "allowedConsentIds")
    preferences = _object(_object(context, "consent"), "categoryPreferences")
    for purpose in PURPOSES:
        for name, said_of in (("allowedConsentIds", ids), ("categoryPreferences", preferences)):
            if purpose in said_of:
                said = True if isinstance(said_of, list) else said_of[purpose]
                if said is True or (said_of is ids and is_yes(said)):
                    allowed.append(purpose)
                elif not (said is None or is_no(said)):
                    unclear.append(f"context.{name}.{purpose}")
    return allowed, unclear


def _ids(management: dict[str, Any], name: str) -> list[Any] | dict[str, Any]:
    ids = management.get(name)
    if ids is None:
        return []
    if not isinstance(ids, list | dict):  # a word of consent that can't be read must not pass
        raise Refused(RejectionCode.SCHEMA, f"/context/consentManagement/{name} is no list")
    return ids


def _object(parent: dict[str, Any], name: str) -> dict[str, Any]:
    child = parent.get(name)
    if child is None:
        return {}
    if not isinstance(child, dict):
        raise Refused(RejectionCode.SCHEMA, f"/{name} is not of type object")
    return child

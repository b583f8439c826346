"""On which topic an event belongs of which nobody says it, by the look of it."""

from __future__ import annotations

from typing import Any

from stream.codec.events import ga4


def home_of(data: dict[str, Any]) -> str:
    """Return the topic of events on which an object most likely belongs, in whatever envelope.

    Examples
    --------
    >>> (
    ...     home_of({"order_id": "o1"}),
    ...     home_of({"type": "identify"}),
    ...     home_of({"data": {"offer_id": 1}}),
    ... )
    ('purchases', 'customers', 'feedback')
    """
    inside = data.get("data")
    data = inside if isinstance(inside, dict) else data
    if "customer_id" not in data and ga4.is_ga4(data):
        return ga4.home_of(data) or "clicks"
    properties = data.get("properties")
    names = {*data, *(properties if isinstance(properties, dict) else ())}
    if names & {"offer_id", "promotion_id"}:
        return "feedback"
    if names & {"order_id", "orderId", "products"}:
        return "purchases"
    if names & {"traits", "erase"} or data.get("type") == "identify":
        return "customers"
    return "clicks"

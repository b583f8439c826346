"""The shop's campaigns: what its marketers want offered, with which discount."""

from __future__ import annotations

from stream.simulate.messages import Message
from stream.simulate.rhythm import DAY_MS


def campaigns(now: int) -> list[Message]:
    """The campaigns that a shop runs from ``now`` (ms) on: one for every day, two with a gift."""
    return [
        {
            "campaign_id": "for-you",
            "name": "For you",
            "strategy": "recommend",
            "priority": 0,
        },
        {
            "campaign_id": "first-of-the-day",
            "name": "Ten percent on the first find of the day",
            "strategy": "recommend",
            "priority": 10,
            "discount_percent": 10,
            "daily_cap": 1,
        },
        {
            "campaign_id": "opening-days",
            "name": "Twenty percent in the opening days",
            "strategy": "recommend",
            "priority": 20,
            "starts_at": now,
            "ends_at": now + 2 * DAY_MS,
            "discount_percent": 20,
            "daily_cap": 1,
        },
    ]

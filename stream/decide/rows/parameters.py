"""The settings of the core as kernels read them."""

from __future__ import annotations

from functools import lru_cache
from math import ceil
from typing import Final

import numpy as np

from stream.config import CoreSettings
from stream.decide.rows.layout import Table

RULES: Final = np.dtype(
    [
        ("grace", "<f8"),  # ms
        ("burst", "<f8"),
        ("pace", "<f8"),  # events a second
        ("half_life", "<f8"),  # s
        ("session_gap", "<f8"),  # ms
        ("window", "<i8"),  # ms in which a purchase is credited
        ("maturity", "<i8"),  # ms after which an exposure is negative
        ("recent", "<i8"),
        ("exposures", "<i8"),
        ("seen_ids", "<i8"),
        ("seen_orders", "<i8"),
        ("order_days", "<i8"),
        ("learning", "<i8"),  # whether anybody learns from what is decided
        ("patience", "<i8"),  # ms in which a customer is waited for before a look
        ("offer_gap", "<f8"),  # ms
    ]
)


@lru_cache(maxsize=64)
def rules_of(settings: CoreSettings, learning: bool) -> Table:
    """The settings as one `RULES`, shape (1,)."""
    policy = settings.policy
    return np.array(
        [
            (
                settings.grace * 1000,
                policy.events_burst,
                policy.events_per_second,
                settings.half_life,
                settings.session_gap * 1000,
                round(settings.attribution * 1000),
                maturity(settings),
                settings.recent_items,
                settings.pending_exposures,
                settings.seen_ids,
                settings.seen_orders,
                ceil(settings.order_window / 86_400),
                learning,
                patience(settings),
                policy.offer_gap * 1000,
            )
        ],
        RULES,
    )


def remembered(settings: CoreSettings) -> int:
    """How long in ms an offer is known: for the caps of a day, and for what is said of it late."""
    policy = settings.policy
    feedback = policy.offer_ttl + settings.attribution + settings.grace
    return round(max(86_400.0, feedback) * 1000)


def maturity(settings: CoreSettings) -> int:
    """How long in ms a purchase may turn an exposure positive, and how late it may come."""
    return round((settings.attribution + settings.grace) * 1000)


def patience(settings: CoreSettings) -> int:
    """How long in ms a customer is waited for before a look: a whole visit must have matured.

    That is an eighth more than one exposure takes; a look at once would find the first of many.
    """
    return maturity(settings) * 9 // 8

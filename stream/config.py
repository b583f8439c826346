"""Settings: frozen values, each default with its reason; a leaf that imports nothing of ours."""

from __future__ import annotations

from dataclasses import dataclass, field


class ConfigError(Exception):
    """The operator's mistake: one line that names the setting and the way out."""


@dataclass(frozen=True, slots=True)
class PolicySettings:
    """When an offer may be made.

    Durations are in seconds of stream time.
    """

    consent_default: bool = False  # fail closed: no word of consent means no
    holdout: float = 0.05  # share of customers who get no offer, to measure the effect against
    offers_per_day: int = 3  # more is felt as spam
    offer_gap: float = 1800.0  # one offer a visit, roughly
    quiet_from: int = 22  # hour of the day, in the shop's time zone, from which offers rest
    quiet_until: int = 7  # … until this hour; equal hours mean no quiet time
    utc_offset: int = 0  # minutes; a fixed offset keeps a replay's decisions the same
    offer_ttl: float = 3600.0  # an offer older than an hour belongs to another visit
    slate: int = 4  # items in one offer
    exploration: float = 0.05  # share of slates with one explored item, its probability logged
    min_propensity: float = 0.0  # below this P(purchase) nothing is offered
    events_per_second: float = 5.0  # a person's sustained pace; more is a bot
    events_burst: int = 100  # a page that loads many tiles is still a person


@dataclass(frozen=True, slots=True)
class CoreSettings:
    """What the decision needs to know beside state, event and models.

    Durations are in seconds of stream time.
    """

    seed: int = 20_240_601  # of every hash that decides: change it to draw anew
    currency: str = "EUR"  # of the shop: prices without one, and the value kept of a customer
    grace: float = 86_400.0  # an event older than stream time by more than this is late
    future: float = 300.0  # clocks drift by less than five minutes
    session_gap: float = 1_800.0  # 30 min of inactivity end a session, as in web analytics
    attribution: float = 86_400.0  # a purchase within a day is credited to an exposure
    half_life: float = 30 * 86_400.0  # of what a customer liked: a month
    recent_items: int = 20  # what neighbours and the profile are made from
    pending_exposures: int = 8  # waiting for their label; the oldest matures early, as negative
    seen_ids: int = 32  # duplicates come soon after their original
    policy: PolicySettings = field(default_factory=PolicySettings)

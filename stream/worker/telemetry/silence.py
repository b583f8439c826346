"""Silence: a worker that makes no offer at all says why, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from mode import get_logger

from stream.decide.policy import Denial

logger = get_logger(__name__)

ENOUGH: Final = 1_000  # moments without one offer: no chance any more, a setting or the data
WAYS: Final = {
    Denial.CONSENT: "who has not said yes is neither profiled nor made offers: send consent with "
    "events or on the customers' topic, or set core.policy.consent_default",
    Denial.NO_CAMPAIGN: "no campaign is active for them: see the campaigns' dates, audiences, caps",
    Denial.NOT_IN_STRATEGY: "no strategy of the campaigns finds an item: add one that recommends",
    Denial.MARGIN_FLOOR: "every item would leave less than core.policy.margin_floor: see the "
    "campaigns' incentives, and the margins in the catalog",
    Denial.BUDGET: "too little is left of the campaigns' budgets",
    Denial.NOT_IN_CAMPAIGN: "no item is of the campaigns' categories: see the catalog",
    Denial.OUT_OF_STOCK: "the catalog says that the items are out of stock",
    Denial.QUIET_HOURS: "see core.policy.quiet_from, quiet_until and utc_offset",
    Denial.NO_CANDIDATE: "nothing is known to offer: everything was bought, or nothing was learned",
    Denial.ON_SCREEN: "nothing is known to offer but what is on the screen",
    Denial.LOW_PROPENSITY: "no item is likely enough: see core.policy.min_propensity",
}


class Silence:
    """Notes what came of each moment until the first offer, or until it has told why none came."""

    def __init__(self) -> None:
        self._denied: Counter[Denial] = Counter()
        self._over = False

    def note(self, offers: int, denied: Mapping[Denial, int]) -> None:
        """Note a batch: how many offers it made, and how many it withheld, by reason."""
        if self._over:
            return
        self._denied.update(denied)
        self._over = offers > 0 or self._denied.total() >= ENOUGH
        if self._over and not offers:
            reason, number = self._denied.most_common(1)[0]
            logger.warning(
                "no offer in %d moments that might have had one; most often, in %d, for %r%s",
                *(self._denied.total(), number, reason.value),
                f": {WAYS[reason]}" if reason in WAYS else "",
            )

"""Budgets: what each partition may spend of a campaign's, so that all together keep to it.

Rules. A partition spends only what was granted to it, and grants follow from a log of claims that
every worker reads in the same order: so all of them know the same grants, some a little later than
others, and never more than the limit is granted. A claim says what its partition was granted when
it was made; where that is not so any more it counts for nothing, so none counts twice. What was
spent stands in the partition's ledger, with the offers that it was spent on.

So a budget is never overspent. What may be left of it is what other partitions hold and do not
spend: of each at most the last grant, which is no more than it had spent before, or a 256th of the
budget (docs/adr/0182).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from stream.domain.event import Campaign

SPENT: Final = "spent:"
"""Before a campaign's id, the name of the count in a ledger of what was spent."""
SHARES: Final = 256  # of a budget, at which claims end being smaller
STEPS: Final = 200  # in which a budget that is paced becomes available
Grants = Mapping[str, Mapping[int, int]]
"""By campaign and partition, what may be spent in all."""


class Claim(NamedTuple):
    """A partition asks for more: ``want`` on top of what it ``knows`` to be granted to it.

    ``limit`` is what all partitions together may spend by now.
    """

    campaign_id: str
    partition: int
    knows: int
    want: int
    limit: int


def granted(grants: Grants, claim: Claim) -> Grants:
    """The grants after a claim.

    >>> grants = granted({}, Claim("a", 0, 0, 6, 10))
    >>> grants = granted(grants, Claim("a", 1, 0, 6, 10))
    >>> granted(grants, Claim("a", 1, 0, 6, 10))  # it was heard before
    {'a': {0: 6, 1: 4}}
    """
    name, partition, knows, want, limit = claim
    of = grants.get(name, {})
    before = of.get(partition, 0)
    left = limit - sum(of.values())
    if before != knows or want <= 0 or left <= 0:
        return grants
    return {**grants, name: {**of, partition: before + min(want, left)}}


def limit_of(campaign: Campaign, now: int) -> int:
    """What a campaign may have spent by a time in ms.

    >>> from stream.domain.campaign import Budget, Unit
    >>> paced = Campaign("a", "A", starts=0, ends=1_000, budget=Budget(Unit.OFFERS, 100, True))
    >>> [limit_of(paced, now) for now in (-1, 0, 500, 1_000)]
    [0, 0, 50, 100]
    """
    budget = campaign.budget
    assert budget is not None
    if not budget.even or campaign.starts is None or campaign.ends is None:
        return budget.limit
    if now < campaign.starts:
        return 0
    span = campaign.ends - campaign.starts
    step = min((now - campaign.starts) * STEPS // span + 1, STEPS)
    return budget.limit * step // STEPS


class Purse:
    """What one partition may still spend of each campaign's budget, while it decides a batch.

    Parameters
    ----------
    campaigns
        Those that run.
    grants
        As far as they are known.
    partition
    spent
        The counts of its ledger.
    """

    def __init__(
        self,
        campaigns: Iterable[Campaign],
        grants: Grants,
        partition: int,
        spent: Mapping[str, int],
    ) -> None:
        self.partition, self._grants, self._spent = partition, grants, spent
        self._budgeted = {one.campaign_id: one for one in campaigns if one.budget is not None}
        self._asked: set[str] = set()
        self._short: set[str] = set()
        self.left = {name: self._left(one) for name, one in self._budgeted.items()}

    def __bool__(self) -> bool:
        return bool(self._budgeted)

    def _left(self, campaign: Campaign) -> int:
        of = self._grants.get(campaign.campaign_id, {})
        mine, total, limit = of.get(self.partition, 0), sum(of.values()), campaign.budget
        assert limit is not None
        if total > limit.limit:  # it was made smaller
            mine = mine * limit.limit // total
        return mine - self._spent.get(SPENT + campaign.campaign_id, 0)

    def spend(self, campaign_id: str, amount: int) -> None:
        """An offer takes an amount from a budget."""
        self._asked.add(campaign_id)
        self.left = {**self.left, campaign_id: self.left.get(campaign_id, 0) - amount}

    def want(self, campaign_id: str) -> None:
        """An offer was not made, since too little is left."""
        self._asked.add(campaign_id)
        self._short.add(campaign_id)

    def claims(self, now: int) -> list[Claim]:
        """What to ask for, at a time in ms: of what is in demand, and runs out."""
        found = []
        for name in sorted(self._asked & self._budgeted.keys()):
            campaign, of = self._budgeted[name], self._grants.get(name, {})
            budget, knows = campaign.budget, of.get(self.partition, 0)
            assert budget is not None
            limit = limit_of(campaign, now)
            rest = limit - sum(of.values())
            spent = knows - self.left[name]
            most = rest // (2 * max(len(of), 1))
            size = max(min(spent, most), budget.limit // SHARES, 1)
            if name in self._short:  # what is left is less than an offer takes: twice as much
                size = max(size, self.left[name] + 1)
            elif self.left[name] > size // 2:
                continue
            if rest > 0:
                want = max(-self.left[name], 0) + size
                found.append(Claim(name, self.partition, knows, want, limit))
        return found


class _Told(msgspec.Struct):
    """What an offer's JSON says of what it took."""

    campaign_id: str
    set_aside: int = 0


def spent_by(offer: bytes) -> tuple[str, int]:
    """The campaign of an offer as it was sent, and what it took from its budget."""
    told = _decode(offer)
    return told.campaign_id, told.set_aside


_decode: Final = msgspec.json.Decoder(_Told).decode

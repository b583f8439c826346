"""The recommender behind river's interface for rankers, for use outside this project.

Rules: a user's rewarded items are one session; users beyond the bound are forgotten, the least
lately seen first. Items are known by their text, as everywhere here.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

import numpy as np
from river.reco.base import Ranker

from stream.models.base.hashing import feature_hash
from stream.models.recommend.recommender import Recommender
from stream.models.recommend.steps import TimedStep

REACH = 32


class SessionRanker(Ranker):  # type: ignore[misc, unused-ignore]
    """Ranks items by what comes next after a user's latest ones.

    Parameters
    ----------
    items, neighbours, sessions
        As of :class:`stream.models.recommend.recommender.Recommender`.
    users
        Users remembered at once.
    seed
        Unused: nothing here is random. river's rankers have it.

    Examples
    --------
    >>> ranker = SessionRanker(items=64, sessions=64)
    >>> for n in range(30):
    ...     ranker.learn_one(f"user{n}", "tea", 1)
    ...     ranker.learn_one(f"user{n}", "milk", 1)
    >>> ranker.learn_one("ann", "tea", 1)
    >>> ranker.rank("ann", {"soap", "milk"})
    ['milk', 'soap']
    """

    def __init__(
        self,
        items: int = 4_096,
        neighbours: int = 32,
        sessions: int = 8_192,
        users: int = 10_000,
        seed: int | None = None,
    ) -> None:
        super().__init__(seed=seed)
        self.items, self.neighbours, self.sessions, self.users = items, neighbours, sessions, users
        self.recommender = Recommender(items, neighbours, sessions)
        self._latest: OrderedDict[Hashable, list[str]] = OrderedDict()

    def learn_one(
        self, user: Hashable, item: Hashable, y: Any, x: dict[str, Any] | None = None
    ) -> None:
        """Learn that a user took an item; without reward (``y`` not above 0) nothing is learned."""
        if not y > 0:
            return
        previous = self._latest.pop(user, [])
        self.recommender.learn(TimedStep(_number(user), previous, str(item), 0))
        self._latest[user] = [*previous[-REACH + 1 :], str(item)]
        if len(self._latest) > self.users:
            self._latest.popitem(last=False)

    def predict_one(self, user: Hashable, item: Hashable, x: dict[str, Any] | None = None) -> Any:
        """P(the item is the user's next) among the candidates, 0 to 1."""
        return self._scores(user).get(str(item), 0.0)

    def rank(
        self, user: Hashable, items: set[Hashable], x: dict[str, Any] | None = None
    ) -> list[Hashable]:
        """Rank the items for a user, those of equal preference by name."""
        scores = self._scores(user)
        return sorted(items, key=lambda item: (-scores.get(str(item), 0.0), str(item)))

    def _scores(self, user: Hashable) -> dict[str, float]:
        pool = self.recommender.gather(self._latest.get(user, []), _number(user))
        if pool is None:
            return {}
        scores = self.recommender.scores(pool)
        odds = np.exp(scores - scores.max())
        names = map(self.recommender.pairs.vocabulary.name, pool.slots.tolist())
        return dict(zip(names, (odds / odds.sum()).tolist(), strict=True))


def _number(user: Hashable) -> int:
    return feature_hash("user", user)

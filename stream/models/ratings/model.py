"""How a user would rate an item: three ways that learn from each rating, and a blend of them.

Rules
-----
- *Biases*: the mean, and by how much a user and an item are off it, held back where ratings are
  few.
- *Factors*: mean, biases and P·Qᵀ with an L2 penalty, by gradient steps. Each rating is learned
  as it comes, and with it some that are drawn from those kept: one pass comes close to many.
- *Neighbours*: users who rated the same items alike say, by similarity, how far off the biases an
  item is.
- The blend is least squares on what the three say, learned from predictions made before the rating.
- Users and items are bounded; the one longest away gives way, and is counted. Predicting changes
  nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from river import reco

from stream.models.base.hashing import draws
from stream.models.base.least_squares import RecursiveLeastSquares
from stream.models.base.state import State, StateValue, array, integer, nested, number, part_of
from stream.models.ratings.places import NamePlaces
from stream.models.ratings.steps import descend, expected, neighbourly

Floats = npt.NDArray[np.float64]

_PACE: Final = (0.02, 0.02, 0.02, 0.08)  # rates of biases and factors, their penalties
_SHRINK: Final = (4.0, 6.0)  # ratings at which half of a user's or an item's bias is believed
_START: Final = 0.1  # factors begin within this of zero
_HUGE: Final = 1e9


class Opinion(NamedTuple):
    """What each way says, and the blend."""

    blend: float
    biases: float
    factors: float
    neighbours: float


class RatingModel(reco.base.Ranker):
    """Ratings of items by users, foreseen online.

    Parameters
    ----------
    factors
        Numbers for each user and item, at least 1.
    users, items
        That are kept.
    latest
        Ratings of a user, and raters of an item, that neighbours are found by.
    memory
        Ratings that are kept to be learned again.
    again
        Of these, how many with each rating that comes.
    seed
        Of the draws.

    Attributes
    ----------
    seen
        Ratings learned.

    Examples
    --------
    >>> model = RatingModel(factors=4)
    >>> for n in range(200):
    ...     model.learn_one(f"u{n % 7}", f"i{n % 5}", 5.0 if n % 5 == 0 else 2.0)
    >>> model.predict_one("u1", "i0") > 4.0 > 3.0 > model.predict_one("u1", "i1")
    True
    """

    def __init__(
        self,
        factors: int = 16,
        users: int = 50_000,
        items: int = 20_000,
        latest: int = 64,
        memory: int = 200_000,
        again: int = 8,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.seed: int = seed
        self.factors = factors
        self.users = users
        self.items = items
        self.latest = latest
        self.memory = memory
        self.again = again
        self.seed = seed
        self.seen = 0
        self._mean = 0.0
        self._low, self._high = 0.0, 0.0
        self._user_places, self._item_places = NamePlaces(users), NamePlaces(items)
        self._arrays: dict[str, npt.NDArray[Any]] = {}
        for name, (rows, width, kind) in self._shapes(0, 0, 0).items():
            self._arrays[name] = np.zeros((rows, *width), kind)
        self._blend = RecursiveLeastSquares(memory=0.999, ridge=2.0)
        self._room = np.zeros(0)

    def _shapes(
        self, users: int, items: int, ratings: int
    ) -> dict[str, tuple[int, tuple[int, ...], Any]]:
        """Return rows, width and kind of each array."""
        size, latest = (self.factors,), (self.latest,)
        return {
            "user_bias": (users, (), np.float64),
            "user_factors": (users, size, np.float64),
            "user_sums": (users, (2,), np.float64),  # ratings, and what they were off
            "user_rated": (users, latest, np.int64),
            "user_residuals": (users, latest, np.float64),
            "item_bias": (items, (), np.float64),
            "item_factors": (items, size, np.float64),
            "item_sums": (items, (2,), np.float64),
            "item_raters": (items, latest, np.int64),
            "kept_users": (ratings, (), np.int64),
            "kept_items": (ratings, (), np.int64),
            "kept_ratings": (ratings, (), np.float64),
        }

    def _grow(self, prefix: str, needed: int, most: int) -> None:
        """Have room for so many rows, twice as many each time."""
        for name in [name for name in self._arrays if name.startswith(prefix)]:
            held = self._arrays[name]
            if needed > len(held):
                rows = min(most, max(64, needed, 2 * len(held)))
                wider = np.zeros((rows, *held.shape[1:]), held.dtype)
                wider[: len(held)] = held
                self._arrays[name] = wider

    def learn_one(self, user: Any, item: Any, y: Any, x: dict[Any, Any] | None = None) -> None:
        """Learn a rating; one that is not finite is left."""
        rating = float(y)
        if not math.isfinite(rating) or abs(rating) > _HUGE:
            return
        at, thing = self._place(str(user), str(item))
        opinion, inputs = self._asked(at, thing)
        self._learn_blend(opinion, inputs, rating)
        self.seen += 1
        self._low = rating if self.seen == 1 else min(self._low, rating)
        self._high = rating if self.seen == 1 else max(self._high, rating)
        self._mean += (rating - self._mean) / min(self.seen, 100_000)
        self._learn_biases(at, thing, rating)
        self._remember(at, thing, rating - opinion.biases if self.seen > 1 else 0.0)
        self._descend(at, thing, rating)

    def _place(self, user: str, item: str) -> tuple[int, int]:
        at, is_new = self._user_places.take(user)
        self._grow("user_", at + 1, self.users)
        if is_new:
            self._clear("user_", at, ("kept_users", "item_raters"))
        thing, is_new = self._item_places.take(item)
        self._grow("item_", thing + 1, self.items)
        if len(self._room) < len(self._arrays["item_bias"]):
            self._room = np.zeros(len(self._arrays["item_bias"]))
        if is_new:
            self._clear("item_", thing, ("kept_items", "user_rated"))
        return at, thing

    def _clear(self, prefix: str, at: int, pointing: tuple[str, ...]) -> None:
        """Have a new name begin at a place, and what pointed at the one before point nowhere."""
        arrays = self._arrays
        places = self._user_places if prefix == "user_" else self._item_places
        if places.evicted:
            for name in pointing:
                held = arrays[name]
                held[held == at] = -1
        for name in [name for name in arrays if name.startswith(prefix)]:
            arrays[name][at] = -1 if name in ("user_rated", "item_raters") else 0
        drawn = draws(self.seed + (prefix == "item_"), self.seen * self.factors, self.factors)
        arrays[f"{prefix}factors"][at] = _START * (2.0 * drawn - 1.0)

    def _asked(self, user: int, item: int) -> tuple[Opinion, dict[Any, float]]:
        """Return what each way says of places, -1 for one that is not known, and the inputs."""
        base = self._baseline(user, item)
        arrays = self._arrays
        biases = arrays["user_bias"], arrays["item_bias"]
        factors = arrays["user_factors"], arrays["item_factors"]
        told = expected(user, item, self._mean, biases, factors)
        said, trust = 0.0, 0.0
        if user >= 0 and item >= 0:
            rated, residuals = arrays["user_rated"], arrays["user_residuals"]
            said, trust = neighbourly(
                user, item, rated, residuals, arrays["item_raters"], self._room
            )
        known = self._known(user, item)
        inputs: dict[Any, float] = {
            "biases": base - self._mean,
            "factors": told - base,
            "factors_known": (told - base) * known,
            "neighbours": said,
            "neighbours_trust": said * math.log1p(trust),
        }
        blend = 0.5 * (base + told) + self._blend.predict_one(inputs)
        ways = (blend, base, told, base + said)
        return Opinion(*(min(max(way, self._low), self._high) for way in ways)), inputs

    def _baseline(self, user: int, item: int) -> float:
        told = self._mean
        for at, name, shrink in ((item, "item", _SHRINK[1]), (user, "user", _SHRINK[0])):
            if at >= 0:
                count, total = self._arrays[f"{name}_sums"][at].tolist()
                told += total / (count + shrink)
        return float(told)

    def _known(self, user: int, item: int) -> float:
        """Return how well a user and an item are known, 0 … 1."""
        if user < 0 or item < 0:
            return 0.0
        counts = self._arrays["user_sums"][user, 0], self._arrays["item_sums"][item, 0]
        return float(min(counts) / (min(counts) + 20.0))

    def _learn_blend(self, opinion: Opinion, inputs: dict[Any, float], rating: float) -> None:
        if self.seen:
            half = 0.5 * (inputs["factors"] + 2.0 * (self._mean + inputs["biases"]))
            self._blend.learn_one(inputs, rating - half)

    def _learn_biases(self, user: int, item: int, rating: float) -> None:
        sums = self._arrays["item_sums"], self._arrays["user_sums"]
        count, total = sums[0][item].tolist()
        sums[0][item] += 1.0, rating - self._mean
        off = rating - self._mean - total / (count + _SHRINK[1])
        sums[1][user] += 1.0, off

    def _remember(self, user: int, item: int, residual: float) -> None:
        """Keep who rated what lately."""
        arrays = self._arrays
        place = int(arrays["user_sums"][user, 0] - 1) % self.latest
        arrays["user_rated"][user, place] = item
        arrays["user_residuals"][user, place] = residual or 1e-9
        place = int(arrays["item_sums"][item, 0] - 1) % self.latest
        arrays["item_raters"][item, place] = user

    def _descend(self, user: int, item: int, rating: float) -> None:
        arrays = self._arrays
        slot = (self.seen - 1) % self.memory
        self._grow("kept_", slot + 1, self.memory)
        arrays = self._arrays
        kept = min(self.seen, self.memory)
        for name, value in (("users", user), ("items", item), ("ratings", rating)):
            arrays[f"kept_{name}"][slot] = value
        drawn = draws(self.seed, self.seen * (self.again + 1), self.again)
        order = np.concatenate([[slot], (drawn * kept).astype(np.int64)])
        biases = arrays["user_bias"], arrays["item_bias"]
        factors = arrays["user_factors"], arrays["item_factors"]
        kept_arrays = arrays["kept_users"], arrays["kept_items"], arrays["kept_ratings"]
        descend(*kept_arrays, order, self._mean, biases, factors, _PACE)

    def predict_one(  # type: ignore[override]  # river's numbers are an abstract class
        self, user: Any, item: Any, x: dict[Any, Any] | None = None
    ) -> float:
        """Return the rating expected of a user for an item; 0 before the first."""
        return self.predict(user, item).blend

    def predict(self, user: Any, item: Any) -> Opinion:
        """Return what each way says of a user and an item."""
        at = self._user_places.find(str(user))
        return self._asked(at, self._item_places.find(str(item)))[0]

    def evicted(self) -> tuple[int, int]:
        """Return how many users and how many items gave way so far."""
        return self._user_places.evicted, self._item_places.evicted

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {name: getattr(self, name) for name in _RANGES}
        rows = len(self._user_places), len(self._item_places), min(self.seen, self.memory)
        for name, (size, _, _) in self._shapes(*rows).items():
            state[name] = self._arrays[name][:size].copy()
        return state | {
            "seen": self.seen,
            "mean": self._mean,
            "low": self._low,
            "high": self._high,
            **nested("places.user", self._user_places.state()),
            **nested("places.item", self._item_places.state()),
            **nested("blend", self._blend.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        model = cls(**{name: integer(state, name, *limits) for name, limits in _RANGES.items()})
        model.seen = integer(state, "seen", 0, 2**62)
        model._mean = number(state, "mean")
        model._low, model._high = number(state, "low"), number(state, "high")
        model._user_places = NamePlaces.from_state(part_of(state, "places.user"))
        model._item_places = NamePlaces.from_state(part_of(state, "places.item"))
        model._blend = RecursiveLeastSquares.from_state(part_of(state, "blend"))
        users, items = len(model._user_places), len(model._item_places)
        rows = users, items, min(model.seen, model.memory)
        for name, (size, width, kind) in model._shapes(*rows).items():
            model._arrays[name] = array(state, name, kind, (size, *width))
        for name, most in (
            ("user_rated", items), ("item_raters", users), ("kept_users", users),
            ("kept_items", items),
        ):  # fmt: skip
            held = model._arrays[name]
            model._arrays[name] = np.where((held >= -1) & (held < most), held, -1)
        model._room = np.zeros(items)
        return model


_RANGES: Final = {
    "factors": (1, 1_000),
    "users": (1, 100_000_000),
    "items": (1, 100_000_000),
    "latest": (1, 10_000),
    "memory": (1, 100_000_000),
    "again": (0, 1_000),
    "seed": (-(2**62), 2**62),
}

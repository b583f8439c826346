"""Thompson sampling with the probability of every choice.

Rules
-----
- An arm is chosen as often as it is likely to be the best, given what is known [1]_. That
  probability is computed, not drawn: it goes on the log with the choice, for off-policy estimates.
- No arm falls below a floor, so that what was learned can be unlearned, and weights stay bounded.
- Rewards may be conversions or money: an arm's mean is normal with the variance of its rewards,
  pooled at first with that of all arms.

References
----------
.. [1] Thompson, "On the likelihood that one unknown probability exceeds another in view of the
   evidence of two samples", Biometrika 25, 1933; Agrawal and Goyal, COLT 2012.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateError, StateValue, array, length, number

Floats = npt.NDArray[np.float64]
_GRID: Final = 201
_REACH: Final = 8.0  # standard deviations that the grid spans


def likely_best(means: Floats, spreads: Floats) -> Floats:
    """Return for each row the probability that each arm is the best.

    Parameters
    ----------
    means, spreads
        Of independent normal beliefs, shape (rows, arms); spreads are standard deviations above 0.

    Examples
    --------
    >>> likely_best(np.array([[0.0, 0.0, 9.0]]), np.ones((1, 3))).round(3).tolist()
    [[0.0, 0.0, 1.0]]
    >>> likely_best(np.zeros((1, 4)), np.ones((1, 4))).round(3).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    low = (means - _REACH * spreads).max(axis=1, keepdims=True)
    high = (means + _REACH * spreads).max(axis=1, keepdims=True)
    points = low + (high - low) * np.linspace(0.0, 1.0, _GRID)
    scaled = (points[:, :, None] - means[:, None, :]) / spreads[:, None, :]
    below = np.clip(_normal(scaled), 1e-300, 1.0)
    everyone = np.log(below).sum(axis=2, keepdims=True)
    # P(arm in the cell, all others below its middle), which needs no density on the grid.
    cells = np.diff(below, axis=1)
    others = np.exp(everyone - np.log(below))
    won = (cells * (others[:, 1:] + others[:, :-1]) / 2).sum(axis=1)
    first = below[:, 0, :] * others[:, 0, :]
    won += first / np.maximum(first.sum(axis=1, keepdims=True), 1e-300) * 1e-12
    total: Floats = won / won.sum(axis=1, keepdims=True)
    return total


def _normal(x: Floats) -> Floats:
    """The normal distribution, to 7.5e-8 (Abramowitz and Stegun 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(x))
    poly = t * (
        0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    )
    tail = np.exp(-0.5 * x * x) / np.sqrt(2 * np.pi) * poly
    below: Floats = np.where(x >= 0, 1.0 - tail, tail)
    return below


def floored(probabilities: Floats, floor: float) -> Floats:
    """Return probabilities of which none is below a floor, in [0, 1 / arms].

    >>> floored(np.array([[0.0, 1.0]]), 0.1).tolist()
    [[0.1, 0.9]]
    """
    arms = probabilities.shape[-1]
    kept: Floats = floor + (1.0 - arms * floor) * probabilities
    return kept


class Thompson:
    """Chooses among arms by what each has brought.

    Parameters
    ----------
    arms
        How many there are.
    floor
        No arm is chosen with a lower probability.
    prior
        Rewards that an arm's first belief is worth: the mean of all arms.

    Examples
    --------
    >>> bandit = Thompson(2)
    >>> for n in range(500):
    ...     bandit.learn(n % 2, float(n % 2 and n % 5 == 0))
    >>> bandit.probabilities().round(2).tolist()
    [0.01, 0.99]
    """

    def __init__(self, arms: int, floor: float = 0.01, prior: float = 1.0) -> None:
        self.floor = min(floor, 1.0 / arms)
        self.prior = prior
        self._sums = np.zeros((3, arms))  # count, rewards, squares

    def learn(self, arm: int, reward: float) -> None:
        """Learn what a choice brought."""
        self._sums[:, arm] += (1.0, reward, reward * reward)

    def beliefs(self) -> tuple[Floats, Floats]:
        """Return the mean of each arm, and the standard deviation of the belief in it."""
        count, rewards, squares = self._sums
        total = max(float(count.sum()), 1.0)
        centre = float(rewards.sum()) / total
        variance = max(float(squares.sum()) / total - centre**2, 1e-12)
        if not rewards.any():
            variance = 1.0
        means = (rewards + self.prior * centre) / (count + self.prior)
        return means, np.sqrt(variance / (count + self.prior))

    def probabilities(self) -> Floats:
        """Return the probability with which each arm is chosen now."""
        means, spreads = self.beliefs()
        found: Floats = floored(likely_best(means[None], spreads[None]), self.floor)[0]
        return found

    def choose(self, chance: float) -> tuple[int, float]:
        """Return an arm, and the probability with which it was chosen.

        Parameters
        ----------
        chance
            Uniform in [0, 1): a hash of the customer and the moment, say.
        """
        odds = self.probabilities()
        arm = min(int(np.searchsorted(np.cumsum(odds), chance, "right")), len(odds) - 1)
        return arm, float(odds[arm])

    def state(self) -> State:
        """Return parameters and sums."""
        return {"floor": self.floor, "prior": self.prior, "sums": self._sums.copy()}

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the bandit that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        size = length(state, "sums")
        if size != 3:
            raise StateError("sums: not three rows")
        sums = state["sums"]
        arms = sums.shape[1] if isinstance(sums, np.ndarray) and sums.ndim == 2 else 0
        if not arms:
            raise StateError("sums: of no arm")
        bandit = cls(arms, number(state, "floor"), number(state, "prior"))
        bandit._sums = array(state, "sums", np.float64, (3, arms))
        return bandit


class Linear:
    """What each arm brings in a context: a regression for all arms, and what each adds to it.

    Sums are kept of each arm, so learning is online and adds up; the coefficients are solved for
    when they are asked for.

    Parameters
    ----------
    arms, inputs
        How many; the first input is 1.
    prior
        Squared units by which coefficients are held to 0; the constants are free.
    shrink
        The same for what an arm adds to the coefficients of all.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x = np.stack([np.ones(4_000), rng.normal(size=4_000)], 1)
    >>> arms = rng.integers(0, 2, 4_000)
    >>> model = Linear(2, 2)
    >>> model.learn(x, arms, np.where(arms == 1, x[:, 1], -x[:, 1]))
    >>> model.rewards(np.array([[1.0, 2.0], [1.0, -2.0]])).argmax(axis=1).tolist()
    [1, 0]
    """

    def __init__(self, arms: int, inputs: int, prior: float = 1.0, shrink: float = 100.0) -> None:
        self.arms, self.inputs = arms, inputs
        self._all = np.diag(_held(inputs, prior))
        self._own = np.diag(_held(inputs, shrink))
        self._grams = np.zeros((arms, inputs, inputs))
        self._pulls = np.zeros((arms, inputs))
        self._squares = np.zeros(arms)
        self._counts = np.zeros(arms)

    def learn(self, x: Floats, arms: npt.NDArray[np.intp], rewards: Floats) -> None:
        """Learn choices: contexts of shape (rows, inputs), and what each brought."""
        for arm in np.unique(arms).tolist():
            rows = x[arms == arm]
            got = rewards[arms == arm]
            self._grams[arm] += rows.T @ rows
            self._pulls[arm] += rows.T @ got
            self._squares[arm] += float(got @ got)
            self._counts[arm] += len(got)

    def coefficients(self) -> Floats:
        """Return the coefficients of each arm, shape (arms, inputs)."""
        everyone = np.linalg.solve(self._grams.sum(axis=0) + self._all, self._pulls.sum(axis=0))
        left = self._pulls - self._grams @ everyone
        own = np.linalg.solve(self._grams + self._own, left[:, :, None])[:, :, 0]
        found: Floats = everyone + own
        return found

    def rewards(self, x: Floats) -> Floats:
        """Return what is expected of each arm in each context, shape (rows, arms)."""
        expected: Floats = x @ self.coefficients().T
        return expected

    def spreads(self, x: Floats) -> Floats:
        """Return the standard deviations of the beliefs in `rewards`."""
        weights = self.coefficients()
        missed = self._squares - 2 * (weights * self._pulls).sum(axis=1)
        missed += np.einsum("ai,aij,aj->a", weights, self._grams, weights)
        noise = max(float(missed.sum()) / max(float(self._counts.sum()), 1.0), 1e-12)
        inverse = np.linalg.inv(self._grams + self._own)
        found: Floats = np.sqrt(noise * np.einsum("ri,aij,rj->ra", x, inverse, x))
        return found


def _held(inputs: int, prior: float) -> Sequence[float]:
    return [1e-6, *[prior] * (inputs - 1)]

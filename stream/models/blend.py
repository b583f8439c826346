"""The blend: how much each source of candidates is worth, learned from what came next.

Rules: a conditional logit over the candidates themselves (all that were not chosen are the
negatives), learned with Adam in batches; what serves is the running average of the weights, which
is worth a point of hit rate over the weights themselves. Each context has weights of its own on
top of the common ones. Reading changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.models.state import State

Floats = NDArray[np.float64]

MOMENTUM: Final = 0.9
SCALE: Final = 0.999
NOBODY: Final = np.zeros(0, np.intp)
SILENCE: Final = np.zeros((0, 0))


class Blend:
    """Weights of candidates' features, by context.

    Parameters
    ----------
    prior
        float64 ``[features]``: the common weights to begin with.
    contexts
        Rows of weights; row 0 counts always, the others in their context only.
    rate
        Adam's step.
    batch
        Choices averaged into one step.
    average
        Least share of the newest weights in the running average that serves, per step.

    References
    ----------
    McFadden: Conditional logit analysis of qualitative choice behavior. 1974. Kingma, Ba: Adam.
    ICLR 2015. Polyak, Juditsky: Acceleration of stochastic approximation by averaging. 1992.

    Examples
    --------
    >>> blend = Blend(np.zeros(2), contexts=1, batch=1)
    >>> features = np.array([[1.0, 0.0], [0.0, 1.0]])  # [features, candidates]
    >>> for _ in range(200):
    ...     blend.learn(features, chosen=1, context=(1.0,))
    >>> blend.scores(features, (1.0,)).argmax()
    np.int64(1)
    """

    def __init__(
        self,
        prior: Floats,
        contexts: int = 2,
        rate: float = 0.05,
        batch: int = 16,
        average: float = 0.005,
    ) -> None:
        self.rate, self.batch, self.average = rate, batch, average
        self.weights: Floats = np.zeros((contexts, len(prior)))
        self.weights[0] = prior
        self.serving: Floats = self.weights.copy()
        self._first: Floats = np.zeros_like(self.weights)
        self._second: Floats = np.zeros_like(self.weights)
        self._gradient: Floats = np.zeros_like(self.weights)
        self._mixed: dict[tuple[float, ...], Floats] = {}  # serving, by context
        self._waiting = 0
        self.steps = 0

    def scores(
        self,
        features: NDArray[np.floating],
        context: tuple[float, ...],
        own: NDArray[np.integer] = NOBODY,
        said: NDArray[np.floating] = SILENCE,
    ) -> Floats:
        """Log-odds of each candidate, ``[candidates]``, up to a constant.

        Parameters
        ----------
        features
            ``[first features, candidates]``.
        context
            Flags, the first of them 1.
        own, said
            Candidates that have the last features, too, and these, ``[last features, own]``; they
            are 0 for all others.
        """
        weights = self._mixed.get(context)
        if weights is None:
            mixed = np.array(context) @ self.serving
            weights = self._mixed[context] = mixed.astype(features.dtype)
        return _log_odds(weights, features, own, said)

    def learn(
        self,
        features: NDArray[np.floating],
        chosen: int,
        context: tuple[float, ...],
        own: NDArray[np.integer] = NOBODY,
        said: NDArray[np.floating] = SILENCE,
    ) -> None:
        """Learn that of these candidates, as in `scores`, one was chosen."""
        flags = np.array(context)
        weights = (flags @ self.weights).astype(features.dtype)
        scores = _log_odds(weights, features, own, said)
        odds = np.exp(scores - scores.max())
        odds /= odds.sum()
        odds[chosen] -= 1.0
        first = len(features)
        self._gradient[:, :first] += flags[:, None] * (features @ odds)
        self._gradient[:, first:] += flags[:, None] * (said @ odds[own])
        self._waiting += 1
        if self._waiting == self.batch:
            self._step()

    def _step(self) -> None:
        gradient = self._gradient / self._waiting
        self.steps += 1
        self._first += (1.0 - MOMENTUM) * (gradient - self._first)
        self._second += (1.0 - SCALE) * (gradient * gradient - self._second)
        first = self._first / (1.0 - MOMENTUM**self.steps)
        second = self._second / (1.0 - SCALE**self.steps)
        self.weights -= self.rate * first / (np.sqrt(second) + 1e-8)
        share = max(self.average, 2.0 / (self.steps + 2))  # at first, all so far count alike
        self.serving += share * (self.weights - self.serving)
        self._gradient[:] = 0.0
        self._waiting = 0
        self._mixed.clear()

    def state(self) -> State:
        """Flat, plain state."""
        return {
            "rate": self.rate,
            "batch": self.batch,
            "average": self.average,
            "waiting": self._waiting,
            "steps": self.steps,
            "weights": self.weights.copy(),
            "serving": self.serving.copy(),
            "first": self._first.copy(),
            "second": self._second.copy(),
            "gradient": self._gradient.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Blend:
        """The blend that gave ``state``, to the bit."""
        weights = np.asarray(state["weights"], np.float64)
        self = cls(
            weights[0],
            len(weights),
            float(state["rate"]),
            int(state["batch"]),
            float(state["average"]),
        )
        self.weights = weights.copy()
        self.serving = np.array(state["serving"], np.float64)
        self._first = np.array(state["first"], np.float64)
        self._second = np.array(state["second"], np.float64)
        self._gradient = np.array(state["gradient"], np.float64)
        self._waiting, self.steps = int(state["waiting"]), int(state["steps"])
        return self


def _log_odds(
    weights: Floats,
    features: NDArray[np.floating],
    own: NDArray[np.integer],
    said: NDArray[np.floating],
) -> Floats:
    first = len(features)
    scores: Floats = weights[:first].dot(features)
    if len(own):
        scores[own] += weights[first:].dot(said)
    return scores

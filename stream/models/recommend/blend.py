"""The blend: how much each source of candidates is worth, learned from what came next.

Rules: a conditional logit over the candidates themselves (all that were not chosen are the
negatives), learned with Adam in batches; what serves is the running average of the weights, which
is worth a point of hit rate over the weights themselves. Each context has weights of its own on
top of the common ones. Reading changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.models.base.kernel import kernel
from stream.models.base.state import State

Floats = NDArray[np.float64]
Features = NDArray[np.float32]
Places = NDArray[np.int64]

MOMENTUM: Final = 0.9
SCALE: Final = 0.999
NOBODY: Final[Places] = np.zeros(0, np.int64)
SILENCE: Final[Features] = np.zeros((0, 0), np.float32)


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
    >>> features = np.eye(2, dtype=np.float32)  # [candidates, features]
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
        self.gradient: Floats = np.zeros_like(self.weights)
        self._waiting = 0
        self.steps = 0

    def scores(
        self,
        features: Features,
        context: tuple[float, ...],
        own: Places = NOBODY,
        said: Features = SILENCE,
    ) -> Floats:
        """Log-odds of each candidate, ``[candidates]``, up to a constant.

        Parameters
        ----------
        features
            float32 ``[candidates, first features]``.
        context
            Flags, the first of them 1.
        own, said
            int64 ``[own]``: candidates that have the last features, too, and these, float32
            ``[own, last features]``; they are 0 for all others.
        """
        scores = np.empty(len(features))
        log_odds(self.serving, np.array(context), features, own, said, scores)
        return scores

    def learn(
        self,
        features: Features,
        chosen: int,
        context: tuple[float, ...],
        own: Places = NOBODY,
        said: Features = SILENCE,
    ) -> None:
        """Learn that of these candidates, as in `scores`, one was chosen."""
        flags = np.array(context)
        odds = np.empty(len(features))
        log_odds(self.weights, flags, features, own, said, odds)
        add_slope(odds, chosen, features, own, said, flags, self.gradient)
        self.learned()

    def learned(self) -> None:
        """Count that a choice was added to ``gradient``; step if that makes a batch."""
        self._waiting += 1
        if self._waiting == self.batch:
            self._step()

    def _step(self) -> None:
        gradient = self.gradient / self._waiting
        self.steps += 1
        self._first += (1.0 - MOMENTUM) * (gradient - self._first)
        self._second += (1.0 - SCALE) * (gradient * gradient - self._second)
        first = self._first / (1.0 - MOMENTUM**self.steps)
        second = self._second / (1.0 - SCALE**self.steps)
        self.weights -= self.rate * first / (np.sqrt(second) + 1e-8)
        share = max(self.average, 2.0 / (self.steps + 2))  # at first, all so far count alike
        self.serving += share * (self.weights - self.serving)
        self.gradient[:] = 0.0
        self._waiting = 0

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
            "gradient": self.gradient.copy(),
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
        self.gradient = np.array(state["gradient"], np.float64)
        self._waiting, self.steps = int(state["waiting"]), int(state["steps"])
        return self


@kernel
def log_odds(
    weights: Floats,
    flags: Floats,
    features: Features,
    own: Places,
    said: Features,
    odds: Floats,
) -> None:
    """Log-odds of candidates, into ``odds``, float64 ``[candidates]``.

    Parameters
    ----------
    weights, flags
        float64 ``[contexts, features]``, ``[contexts]``.
    features, own, said
        As of `Blend.scores`.
    """
    mixed = np.zeros(weights.shape[1])
    for context in range(len(flags)):
        for n in range(len(mixed)):
            mixed[n] += flags[context] * weights[context, n]
    first = features.shape[1]
    for at in range(len(features)):
        total = 0.0
        for n in range(first):
            total += mixed[n] * np.float64(features[at, n])
        odds[at] = total
    for at in range(len(own)):
        total = odds[own[at]]
        for n in range(said.shape[1]):
            total += mixed[first + n] * np.float64(said[at, n])
        odds[own[at]] = total


@kernel
def to_shares(odds: Floats) -> None:
    """Log-odds to probabilities, in place; float64 ``[candidates]``."""
    most = odds[0]
    for at in range(len(odds)):
        most = max(most, odds[at])
    whole = 0.0
    for at in range(len(odds)):
        odds[at] = math.exp(odds[at] - most)
        whole += odds[at]
    for at in range(len(odds)):
        odds[at] /= whole


@kernel
def add_slope(
    odds: Floats,
    chosen: int,
    features: Features,
    own: Places,
    said: Features,
    flags: Floats,
    gradient: Floats,
) -> None:
    """Add to ``gradient`` what this choice does to the weights; ``odds`` become the surprises.

    Parameters
    ----------
    odds
        float64 ``[candidates]``: log-odds, of which ``chosen`` was chosen.
    features, own, said
        As of `Blend.scores`.
    flags, gradient
        float64 ``[contexts]``, ``[contexts, features]``.
    """
    to_shares(odds)
    odds[chosen] -= 1.0
    first = features.shape[1]
    for context in range(len(flags)):
        if flags[context] == 0.0:
            continue
        for at in range(len(features)):
            for n in range(first):
                gradient[context, n] += flags[context] * odds[at] * np.float64(features[at, n])
        for at in range(len(own)):
            for n in range(said.shape[1]):
                push = flags[context] * odds[own[at]]
                gradient[context, first + n] += push * np.float64(said[at, n])

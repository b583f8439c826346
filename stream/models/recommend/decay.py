"""Exponential decay by event time, at no cost per stored number.

Rules: instead of shrinking what is stored, each new observation weighs more than the last
("forward decay", Cormode et al. 2009). Ratios never notice. Before a weight grows past what
float32 holds, the owner multiplies what it stores by a power of two, which rounds nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes, patched
from stream.models.base.kernel import kernel
from stream.models.base.state import State

LIMIT: Final = 48  # weights stay below 2**48: float32 sums of 2**79 of them are still finite


@kernel
def grown(
    times: NDArray[np.int64],
    origin: int,
    half_life: float,
    limit: float,
    base: float,
    weights: NDArray[np.float64],
) -> int:
    """Weights of observations up to the first at ``limit`` or later; how many they are.

    Parameters
    ----------
    times, weights
        Milliseconds, and where the weights go: int64, float64 ``[observations]``.
    origin, half_life, limit
        Likewise in ms; only the first is whole.
    base
        Two, as what is known only at run time: a compiler that sees it takes ``exp2`` for ``pow``,
        and another last bit.
    """
    for at in range(len(times)):
        if times[at] >= limit:
            return at
        weights[at] = math.pow(base, (times[at] - origin) / half_life)
    return len(times)


class Decay:
    """Weights that double every half-life.

    Parameters
    ----------
    half_life
        Seconds of event time after which an observation counts half; ``math.inf`` keeps all.

    References
    ----------
    Cormode, Shkapenyuk, Srivastava, Xu: Forward decay: a practical time decay model for
    streaming systems. ICDE 2009.

    Examples
    --------
    >>> decay = Decay(half_life=60.0)
    >>> decay.weight(1_000_000), decay.weight(1_060_000), decay.weight(940_000)
    (1.0, 2.0, 0.5)
    >>> decay.now
    2.0
    """

    def __init__(self, half_life: float) -> None:
        if not half_life > 0:
            raise ValueError(f"half_life must be positive, not {half_life}")
        self.half_life = half_life
        self._span = LIMIT * half_life * 1000.0
        self.origin: int | None = None
        self.latest = 0

    def weight(self, time: int) -> float:
        """Weight of an observation at ``time`` (ms); call :meth:`shift` first when learning."""
        if self.origin is None:
            self.origin = self.latest = time
        elif time > self.latest:
            self.latest = time
        return self._power(time)

    def weights(self, times: NDArray[np.int64]) -> NDArray[np.float64]:
        """Weights of observations, in order, up to the first that asks for a `shift`.

        As `weight` is of each.
        """
        if self.origin is None:
            self.origin = self.latest = times.item(0)
        weights = np.ones(len(times))
        if not math.isinf(self.half_life):
            half_life, limit = self.half_life * 1000.0, self.origin + self._span
            count = grown(times, self.origin, half_life, limit, 2.0, weights)
            times, weights = times[:count], weights[:count]
        self.latest = max(self.latest, times.max().item())
        return weights

    def shift(self, time: int) -> float:
        """Factor for all that is stored, 1.0 nearly always, before ``weight(time)`` is used."""
        if self.origin is None or time < self.origin + self._span:
            return 1.0
        steps = int((time - self.origin) / (self.half_life * 1000.0))
        self.origin += round(steps * self.half_life * 1000.0)
        return math.ldexp(1.0, -steps)

    @property
    def now(self) -> float:
        """Weight of an observation at the latest time seen: divide by it to read counts."""
        return 1.0 if self.origin is None else self._power(self.latest)

    def _power(self, time: int) -> float:
        if self.origin is None or math.isinf(self.half_life):
            return 1.0
        return float(2.0 ** ((time - self.origin) / (self.half_life * 1000.0)))

    def state(self) -> State:
        """Everything that :meth:`from_state` needs; an unset origin is left out."""
        state: State = {"half_life": self.half_life, "latest": self.latest}
        return state if self.origin is None else {**state, "origin": self.origin}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Decay:
        """The decay that gave ``state``, to the bit."""
        decay = cls(float(state["half_life"]))
        decay.latest = int(state["latest"])
        decay.origin = int(state["origin"]) if "origin" in state else None
        return decay

    def patched(self, changes: Changes) -> Decay:
        """The decay that the changes lead to."""
        return Decay.from_state(patched(self.state(), changes.entries)) if changes else self

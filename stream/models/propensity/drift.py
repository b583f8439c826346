"""Drift: has the loss of a model risen for good?

Rules
-----
- River's ADWIN [1]_ watches the loss of each example. It also sees a loss that falls; only a rise
  is a drift. After either the watch starts anew.
- ADWIN's state is opaque bytes in river. So the inputs since it began are kept instead, and a
  restart feeds them to a new one; to bound them, a full window's older half is dropped, live in
  the very same way.
- A watch that is only kept, as a worker keeps it, does without river: its import costs 80 MB.

References
----------
.. [1] Bifet and Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Self

import numpy as np

from stream.models.base.state import State, StateError, StateValue, array, integer, length, number

if TYPE_CHECKING:
    from river.drift import ADWIN


class DriftWatch:
    """Tells when the mean of a sequence of losses has risen.

    Parameters
    ----------
    delta
        Confidence of ADWIN, in (0, 1): smaller means fewer false alarms.
    window
        At most so many examples are looked back on.

    Examples
    --------
    >>> watch = DriftWatch()
    >>> watch.update([0.3] * 500), watch.update([0.9] * 100), watch.update([0.9] * 500)
    (False, True, False)
    """

    def __init__(self, delta: float = 0.002, window: int = 4096) -> None:
        self.delta = delta
        self.window = window
        self.drifts = 0
        self._losses: list[float] = []
        self._adwin: ADWIN | None = None

    def update(self, losses: Iterable[float]) -> bool:
        """Take the losses of a batch in, in order; return whether they have risen for good."""
        risen = False
        adwin = self._begun(self._losses) if self._adwin is None else self._adwin
        for loss in losses:
            adwin.update(loss)  # type: ignore[no-untyped-call]
            self._losses.append(loss)
            if adwin.drift_detected:
                risen |= adwin.estimation > float(np.mean(self._losses))
                adwin = self._begun([])
            elif len(self._losses) >= self.window:
                adwin = self._begun(self._losses[self.window // 2 :])
        self.drifts += risen
        return risen

    def _begun(self, losses: list[float]) -> ADWIN:
        from river.drift import ADWIN

        self._losses = losses
        self._adwin = ADWIN(self.delta)  # type: ignore[no-untyped-call]
        for loss in losses:
            self._adwin.update(loss)  # type: ignore[no-untyped-call]
        return self._adwin

    def state(self) -> State:
        """Return parameters, and the losses that a new ADWIN has to see."""
        return {
            "delta": self.delta,
            "window": self.window,
            "drifts": self.drifts,
            "losses": np.array(self._losses),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the watch that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        watch = cls(number(state, "delta"), integer(state, "window", 2, 2**20))
        size = length(state, "losses")
        if size > watch.window or not 0 < watch.delta < 1:
            raise StateError("losses: more than the window holds, or delta out of range")
        watch.drifts = integer(state, "drifts", 0, 2**62)
        watch._losses = array(state, "losses", np.float64, (size,)).tolist()
        return watch

"""The champion: what serves P(conversion), by rows of hashes or by river's dictionaries.

Rules
-----
- `learn` predicts again with the weights of now and learns from that, however late the label.
- Predicting never changes the model.
- A label must be 0 or 1; a batch with any other is refused whole, before anything is learned.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.hashing import feature_hash, log_bin
from stream.models.propensity.ftrl import HashedFTRL, Rows, sigmoid
from stream.models.state import State, StateValue, integer, nested, part_of


class Propensity(base.Classifier):
    """Calibrated P(conversion) of hashed features, learned in small batches.

    Parameters
    ----------
    rate, beta, bits, crosses
        See `HashedFTRL`.
    """

    def __init__(
        self, rate: float = 0.03, beta: float = 1.0, bits: int = 18, crosses: int = 24
    ) -> None:
        self.rate = rate
        self.beta = beta
        self.bits = bits
        self.crosses = crosses
        self._ftrl = HashedFTRL(rate, beta, bits, crosses)
        self.examples = 0

    def predict(
        self, rows: Rows, segments: Sequence[int | None] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return P(conversion) of each row, calibrated, in (0, 1).

        Parameters
        ----------
        rows
            32-bit hashes of each row's features; see `stream.models.hashing`.
        segments
            Of each row's customer, if known.
        """
        return sigmoid(self._ftrl.logits(self._ftrl.buckets(rows)))

    def learn(
        self,
        rows: Rows,
        labels: Sequence[int] | npt.NDArray[Any],
        segments: Sequence[int | None] | None = None,
    ) -> npt.NDArray[np.float64]:
        """Learn a batch of up to a few dozen rows.

        Returns
        -------
        ndarray of shape (rows,)
            What was predicted of them before they were learned.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, or there is not one a row.
        """
        truth = np.asarray(labels, dtype=np.float64)
        if truth.shape != (len(rows),) or not np.isin(truth, (0.0, 1.0)).all():
            raise ValueError("labels must be 0 or 1, one a row")
        buckets = self._ftrl.buckets(rows)
        predicted = sigmoid(self._ftrl.logits(buckets))
        self._ftrl.step(buckets, predicted - truth)
        self.examples += len(truth)
        return predicted

    def learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget) -> None:
        """Learn one example given as a dictionary; ``y`` is true or false."""
        self.learn([self._row(x)], [int(bool(y))])

    def predict_proba_one(
        self, x: dict[Hashable, Any], **kwargs: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probabilities of False and True."""
        p = float(self.predict([self._row(x)])[0])
        return {False: 1.0 - p, True: p}

    def _row(self, x: Mapping[Hashable, Any]) -> list[int]:
        """Return the hashes of a dictionary's features, in an order that is not the dictionary's."""
        return sorted(
            feature_hash(str(name), log_bin(value) if isinstance(value, (int, float)) else value)
            for name, value in x.items()
        )

    def state(self) -> State:
        """Return all that the future depends on."""
        return {"examples": self.examples} | nested("ftrl", self._ftrl.state())

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        ftrl = HashedFTRL.from_state(part_of(state, "ftrl"))
        model = cls(ftrl.rate, ftrl.beta, ftrl.bits, ftrl.crosses)
        model._ftrl = ftrl
        model.examples = integer(state, "examples", 0, 2**62)
        return model

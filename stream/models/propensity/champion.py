"""The champion: what serves P(conversion), by rows of hashes or by river's dictionaries.

Rules
-----
- Pairs of learners (one slow, one fast) see the row's features, its pairs, and the triples of
  what says most; one more sees numbers as such, scaled. A stack blends their log-odds; a
  calibration, overall and by segment, corrects the blend. All learn online, from predictions made
  before the label.
- `learn` predicts again with the weights of now and learns from that, however late the label:
  gradients kept from the time of the prediction would be those of weights long gone.
- When ADWIN finds that the log loss has risen for good, that is a drift: steps grow (all sums of
  squared gradients are cut), and stack and calibration forget as much, so that what is new is
  learned fast, without throwing away what was known.
- Predicting never changes the model.
- What is told late is learned in two parts, which add up: see `stream.models.base.truth`.
- A label must be 0 or 1; a batch with any other is refused whole, before anything is learned.
  Features are hashes, so no input can be NaN.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.base.calibration import Segments, numbered
from stream.models.base.kernel import kernel
from stream.models.base.sigmoid import Floats
from stream.models.base.state import (
    State,
    StateError,
    Stateful,
    StateValue,
    integer,
    nested,
    number,
    part_of,
)
from stream.models.base.truth import Truth
from stream.models.propensity.blend import LogitBlend, called
from stream.models.propensity.buckets import (
    PAIR,
    TRIPLE,
    Buckets,
    Numbers,
    Rows,
    Sparse,
    singles,
    sparse,
    together,
)
from stream.models.propensity.cells import Cells
from stream.models.propensity.dense import DenseLogistic
from stream.models.propensity.drift import DriftWatch
from stream.models.propensity.encoding import EncodedRow, Encoder
from stream.models.propensity.ftrl import Groups, HashedFTRL, grouped, look
from stream.models.propensity.maturity import Maturity
from stream.models.propensity.positions import Combined, Positions

_FAST = 4.0  # times the slow learner's rate
_PLAIN = (0.5, 1.5)  # rates without pairs: fewer features, each seen more often
_KEPT = 0.25  # of squared gradients after a drift: steps double
_LOOKED = 4  # batches after which the positions' weights are looked at
_LOSSES = 4  # in a mean that ADWIN takes at once
_LEAD = 0.7  # of the dense learner, in the beginning
_RANGES = {
    "bits": (8, 24),
    "crosses": (0, 1000),
    "triples": (0, 100),
    "segments": (0, 100_000),
    "inputs": (0, 1000),
    "batch": (1, 100_000),
}


class Encoded(NamedTuple):
    """Rows as `Encoder` makes them.

    Parameters
    ----------
    rows
        Features that are paired with each other.
    coarse
        The same features, at the same positions, numbers in wider bins: for triples.
    alone
        More features, that are not paired.
    inputs, values
        Numbers of dense inputs, from 1, and the value of each; see `DenseLogistic`.
    """

    rows: Rows
    coarse: Rows
    alone: Rows
    inputs: Sequence[Sequence[int]] = ()
    values: Sequence[Sequence[float]] = ()

    @classmethod
    def of(cls, rows: Sequence[EncodedRow]) -> Encoded:
        """Return rows of an `Encoder` together."""
        return cls(
            [row.fine for row in rows],
            [row.coarse for row in rows],
            [row.alone for row in rows],
            [row.inputs for row in rows],
            [row.values for row in rows],
        )

    def part(self, which: slice) -> Encoded:
        """Return some of the rows."""
        rows = self.rows[which]
        coarse = rows if self.coarse is self.rows else self.coarse[which]
        return Encoded(rows, coarse, self.alone[which], self.inputs[which], self.values[which])


Asked: TypeAlias = tuple[Any, Any, Any, Numbers, Combined, Cells, int]
"""What `looked` is asked.

The features of rows, the coarse ones, and those alone, each as of `Sparse`, but plain; where each
group's columns start, shape (groups + 1,); what goes together, as of `Positions.combined`; the
cells of all buckets, shape (buckets, 8), of which there are ``2 ** bits``; and these bits.
"""


class _Look(NamedTuple):
    """A batch as the learners see it.

    ``buckets``, and the groups of their columns, of which a row's features are the first after the
    bias, so many as the longest row has; the log-odds of the learners, two a group, and of the
    dense learner; the dense rows.
    """

    buckets: Buckets
    groups: Groups
    features: int
    logits: Floats
    dense: Floats | None


class Propensity(base.Classifier):
    """Calibrated P(conversion) of hashed features, learned in small batches.

    Parameters
    ----------
    rate
        Alpha of FTRL-proximal of the slow learners of pairs and triples, for rows of one feature.
    bits
        There are ``2 ** bits`` buckets of 32 bytes; in 8 … 24.
    crosses
        Pairs are made of so many of a row's features at most: those that say most; 0 for none.
    triples
        As `crosses`, for triples.
    segments
        Segments 0 … segments - 1 are calibrated apart.
    inputs
        Dense inputs at most, of rows that an `Encoder` made; 0 where rows are hashes only.
    batch
        Rows learned in one step.
    base_rate
        What is predicted before the first label, in (0, 1): conversions are rare.

    Attributes
    ----------
    examples
        Number of rows learned.

    Examples
    --------
    >>> model = Propensity(bits=10)
    >>> for _ in range(100):
    ...     before = model.learn([[11, 22], [11, 33]], [1, 0])
    >>> model.predict([[11, 22], [11, 33], [11, 44]]).round(1).tolist()
    [1.0, 0.0, 0.5]
    """

    def __init__(
        self,
        rate: float = 0.3,
        bits: int = 18,
        crosses: int = 12,
        triples: int = 8,
        segments: int = 64,
        inputs: int = 128,
        batch: int = 32,
        base_rate: float = 0.1,
    ) -> None:
        self.rate = rate
        self.bits = bits
        self.crosses = crosses
        self.triples = triples
        self.segments = segments
        self.inputs = inputs
        self.batch = batch
        self.base_rate = base_rate
        self.examples = 0
        wanted = ((PAIR, crosses), (TRIPLE, triples))
        self._combines = tuple([(size, most) for size, most in wanted if most >= size])
        self._rates = (_PLAIN, *[(rate, _FAST * rate)] * len(self._combines))
        self._table = HashedFTRL(bits=bits)
        self._dense = DenseLogistic(inputs)
        learners = 2 * len(self._rates) + bool(inputs)
        self._blend = LogitBlend(learners, segments, _LEAD if inputs else 0.0)
        self._positions = Positions()
        self._plans: dict[tuple[int, int], tuple[Groups, Combined]] = {}
        self._watch = DriftWatch()
        self._maturity = Maturity()
        self._encoder = Encoder(inputs)

    @property
    def drifts(self) -> int:
        """How often the log loss has risen for good."""
        return self._watch.drifts

    def predict(self, rows: Rows | Encoded, segments: Segments | None = None) -> Floats:
        """Return P(conversion) of each row, calibrated, in (0, 1).

        Parameters
        ----------
        rows
            32-bit hashes of each row's features; see `stream.models.base.hashing`.
        segments
            Of each row's customer, if known.
        """
        given = _encoded(rows)
        if not len(given.rows):
            return np.zeros(0)
        if not self.examples:
            return np.full(len(given.rows), self.base_rate)
        if self.inputs:
            return self._blend.called(self._look(given).logits, segments)
        asked, _ = self._asked(*_aligned(given))
        calls: Floats = answered(asked, self._blend.by(segments, len(given.rows)))
        return calls

    def learn(
        self,
        rows: Rows | Encoded,
        labels: Sequence[int] | npt.NDArray[Any],
        segments: Segments | None = None,
        weights: Floats | None = None,
    ) -> Floats:
        """Learn rows, in steps of `batch`.

        Parameters
        ----------
        rows, segments
            As of `predict`.
        labels
            0 or 1, one a row.
        weights
            Of each row, as `weigh` gives them; None if all labels are whole. See
            `stream.models.base.truth`.

        Returns
        -------
        ndarray of shape (rows,)
            What was predicted of each before it was learned.

        Raises
        ------
        ValueError
            If a label is not 0 or 1, or a weight is not from 0 on, or there is not one a row.
        """
        given = _encoded(rows)
        truth = np.array(labels, dtype=np.float64)
        if truth.shape != (len(given.rows),) or not {0.0, 1.0}.issuperset(truth.tolist()):
            raise ValueError("labels must be 0 or 1, one a row")
        counted = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
        if counted.shape != truth.shape or not (counted >= 0.0).all():
            raise ValueError("weights must be from 0 on, one a row")
        numbers = numbered(segments, len(truth))
        predicted = np.empty(len(truth))
        for at in range(0, len(truth), self.batch):
            part = slice(at, at + self.batch)
            predicted[part] = self._learn(
                given.part(part), (truth[part], counted[part]), numbers[part]
            )
        return predicted

    def weigh(self, times: Numbers, labels: Numbers, waits: Numbers) -> Floats:
        """Return what labels that are told in two parts count; see the module ``maturity``.

        Parameters
        ----------
        times
            In ms, one a label, in the order of the log.
        labels
            0 for an exposure, 1 for a purchase.
        waits
            Ms from the exposure to what is told; below 0 for a whole label, which counts once.
        """
        return self._maturity.weigh(times, labels, waits)

    def seen(self, age: float) -> float:
        """Return the share of all purchases that come within so many ms of an exposure."""
        return self._maturity.seen(age)

    def _learn(self, rows: Encoded, truth: Truth, segments: Numbers) -> Floats:
        count = len(truth[0])
        look = self._look(rows)
        predicted = self._blend.called(look.logits, segments)
        if not self.examples:
            predicted = np.full(count, self.base_rate)
        if self._combines and self.examples // self.batch % _LOOKED == 0:
            features = look.buckets[:, 1 : 1 + look.features]
            self._positions.learn(self._table.slow(features).astype(np.float64))
            self._plans.clear()
        self._blend.learn(look.logits, truth, segments)
        if look.dense is not None:
            self._dense.learn(look.dense, truth)
        self._table.step(look.buckets, look.groups, look.logits, truth)
        self.examples += count
        if self._watch.update(_losses(predicted, truth).tolist()):
            self._forget()
        return predicted

    def _look(self, rows: Encoded) -> _Look:
        """Look rows up in the table: first their features, then what goes together of those."""
        fine, coarse, alone = _aligned(rows)
        asked, groups = self._asked(fine, coarse, alone)
        buckets, logits = looked(asked, self._blend.inputs)
        dense = None
        if self.inputs:
            dense = self._dense.rows(len(buckets), rows.inputs, rows.values)
            logits[:, -1] = self._dense.logits(dense)
        return _Look(buckets, groups, fine.longest, logits, dense)

    def _asked(self, fine: Sparse, coarse: Sparse, alone: Sparse) -> tuple[Asked, Groups]:
        """Return what is asked of the table, and the groups of columns."""
        width = fine.longest, alone.longest
        if width not in self._plans:
            self._plans[width] = self._plan(*width)
        groups, combined = self._plans[width]
        rows = tuple(fine), tuple(coarse), tuple(alone)  # as kernels want them
        return (*rows, groups.starts, combined, self._table.cells, self.bits), groups

    def _plan(self, width: int, alone: int) -> tuple[Groups, Combined]:
        """Return the groups of columns of rows, and what goes together in them.

        Parameters
        ----------
        width, alone
            Features of the longest row that are paired, and that are not.
        """
        sizes = [1 + math.comb(min(width, most), size) for size, most in self._combines]
        groups = grouped((1 + width + alone, *sizes), self._rates)
        return groups, self._positions.combined(width, self._combines)

    def _forget(self) -> None:
        self._table.forget(_KEPT)
        self._dense.forget(_KEPT)
        self._blend.forget(_KEPT)

    def learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget) -> None:
        """Learn one example given as a dictionary of numbers and texts; y is true or false."""
        self._encoder.learn(x)
        self.learn(Encoded.of([self._encoder.encode(x)]), [int(bool(y))])

    def predict_proba_one(
        self, x: dict[Hashable, Any], **kwargs: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probabilities of False and True."""
        p = float(self.predict(Encoded.of([self._encoder.encode(x)]))[0])
        return {False: 1.0 - p, True: p}

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {"rate": self.rate, "base_rate": self.base_rate, "examples": self.examples}
        for name in _RANGES:
            state[name] = getattr(self, name)
        for name in _PARTS:
            state |= nested(name, getattr(self, f"_{name}").state())
        return state

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the model that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        sizes = {name: integer(state, name, *limits) for name, limits in _RANGES.items()}
        model = cls(number(state, "rate"), **sizes, base_rate=number(state, "base_rate"))
        model.examples = integer(state, "examples", 0, 2**62)
        for name, kind in _PARTS.items():
            part = part_of(state, name)
            if part or name not in _SINCE:
                setattr(model, f"_{name}", kind.from_state(part))
        learners = 2 * len(model._rates) + bool(model.inputs)
        most = (model._dense.inputs, model._encoder.inputs)
        if model._table.bits != model.bits or model._blend.inputs != learners:
            raise StateError("table, blend: not of the size that the parameters say")
        if most != (model.inputs, model.inputs):
            raise StateError("dense, encoder: not of the size that the parameters say")
        return model


_PARTS: dict[str, type[Stateful]] = {
    "table": HashedFTRL,
    "dense": DenseLogistic,
    "blend": LogitBlend,
    "positions": Positions,
    "watch": DriftWatch,
    "maturity": Maturity,
    "encoder": Encoder,
}
_SINCE = frozenset({"maturity"})  # which no snapshot of before has


def _encoded(rows: Rows | Encoded) -> Encoded:
    return rows if isinstance(rows, Encoded) else Encoded(rows, rows, ())


def _aligned(rows: Encoded) -> tuple[Sparse, Sparse, Sparse]:
    """Return the features of rows, the coarse ones, and those alone: what kernels do not check."""
    fine, alone = sparse(rows.rows), sparse(rows.alone)
    coarse = fine if rows.coarse is rows.rows else sparse(rows.coarse)
    if coarse is not fine and not np.array_equal(coarse.starts, fine.starts):
        raise ValueError("coarse features: not one a feature")
    if len(alone.starts) not in (1, len(fine.starts)):
        raise ValueError("features alone: not of as many rows")
    return fine, coarse, alone


@kernel
def looked(asked: Any, inputs: int) -> tuple[Buckets, Floats]:
    """Look rows up in the table: first their features, then what goes together of those.

    Parameters
    ----------
    asked
        As of `Asked`.
    inputs
        Log-odds of a row.

    Returns
    -------
    int32 (rows, columns), float64 (rows, inputs)
        The buckets, and the log-odds of the learners, two a group.
    """
    fine, coarse, alone, starts, (sizes, positions, ends), cells, bits = asked
    buckets = np.zeros((len(fine[1]) - 1, starts[-1]), np.int32)
    singles(fine[0], fine[1], bits, 1, buckets)
    if alone[2]:
        singles(alone[0], alone[1], bits, 1 + fine[2], buckets)
    for at in range(len(sizes)):
        hashes, begins, _ = fine if sizes[at] == PAIR else coarse
        best = positions[ends[at] : ends[at + 1]]
        together(sizes[at], hashes, begins, best, cells, bits, starts[at + 1], buckets)
    logits = np.empty((len(buckets), inputs))
    look(cells, buckets, starts, logits)
    return buckets, logits


@kernel
def answered(asked: Any, by: Any) -> Floats:
    """Return P of rows, which are looked up as by `looked`, and called as by `called`."""
    weights, everyone, own, which = by
    _, logits = looked(asked, len(weights) - 1)
    return called(logits, weights, everyone, own, which)


@kernel
def _losses(predicted: Floats, truth: Truth) -> Floats:
    """Return the means of each few log losses in a row: as telling for ADWIN, and fewer."""
    labels, weights = truth
    rows = len(labels)
    means = np.zeros((rows + _LOSSES - 1) // _LOSSES)
    for row in range(rows):
        loss = -math.log(abs(1.0 - labels[row] - predicted[row]))
        if weights[row] != 1.0:  # the rest of it is told at another time
            loss += (1.0 - weights[row]) * math.log(1.0 - predicted[row])
        means[row // _LOSSES] += loss
    for at in range(len(means)):
        means[at] /= min(_LOSSES, rows - at * _LOSSES)
    return means

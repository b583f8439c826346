"""An online neural network: hashed embeddings, one or two hidden layers, Adagrad.

Rules
-----
- Texts, bins of numbers and numbers as such, scaled, have a place each by hash: a vector and a
  weight.
- Vectors, times their values, are added up; hidden layers read the sum. Weights are added up beside
  them, so that what is simple is learned at once (wide and deep [1]_).
- Each example is one step of Adagrad [2]_, whose rate is each parameter's own.
- Memory is fixed from the start; predicting changes nothing; what is random comes from the seed.

References
----------
.. [1] Cheng et al., "Wide & deep learning for recommender systems", DLRS 2016.
.. [2] Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning and stochastic
   optimization", JMLR 12, 2011.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from itertools import pairwise
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from river import base

from stream.models.base.hashing import feature_hash, log_bin
from stream.models.base.sigmoid import sigmoid
from stream.models.base.state import State, StateValue, array, integer, nested, number, part_of
from stream.models.value.linear import Scaling

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

_EPSILON = 1e-6
_CERTAIN = 30.0  # log-odds


class _Passed(NamedTuple):
    """What an example came to: its places and values, each layer's output, the log-odds."""

    places: Numbers
    values: Floats
    outputs: list[Floats]
    logit: float


class HashedNetwork(base.Classifier):
    """A binary classifier of examples of numbers and texts.

    Parameters
    ----------
    hidden
        Units of the first hidden layer.
    second
        Units of the second hidden layer; 0 for none.
    size
        Numbers of an embedding.
    bits
        There are ``2 ** bits`` places.
    rate
        Of Adagrad, over 0.
    seed
        Of the start.

    Examples
    --------
    >>> model = HashedNetwork(bits=8)
    >>> for n in range(600):
    ...     model.learn_one({"a": n % 2, "b": n // 2 % 2}, n % 2 != n // 2 % 2)
    >>> [model.predict_one({"a": a, "b": b}) for a in (0, 1) for b in (0, 1)]
    [False, True, True, False]
    """

    def __init__(
        self,
        hidden: int = 32,
        second: int = 16,
        size: int = 16,
        bits: int = 14,
        rate: float = 0.05,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        self.second = second
        self.size = size
        self.bits = bits
        self.rate = rate
        self.seed = seed
        self.examples = 0
        self._scaling = Scaling()
        rng = np.random.default_rng(abs(seed))
        widths = [size, hidden, *([second] if second else [])]
        self._vectors = rng.normal(0.0, 0.3 / math.sqrt(size), (2**bits, size))
        self._linear = np.zeros(2**bits)
        self._layers = [
            rng.normal(0.0, math.sqrt(2.0 / fan), (out, fan + 1))  # the last column is the bias
            for fan, out in pairwise(widths)
        ]
        for layer in self._layers:
            layer[:, -1] = 0.0
        self._last = rng.normal(0.0, 1.0 / math.sqrt(widths[-1]), widths[-1] + 1)
        self._last[-1] = 0.0
        self._squares = {name: np.zeros_like(held) for name, held in self._parameters().items()}

    def _parameters(self) -> dict[str, Floats]:
        layers = {f"layer{at}": layer for at, layer in enumerate(self._layers)}
        return {"vectors": self._vectors, "linear": self._linear, "last": self._last} | layers

    def predict_proba_one(
        self, x: dict[Hashable, Any], **kwargs: Any
    ) -> dict[base.typing.ClfTarget, float]:
        """Return the probabilities of False and True."""
        p = sigmoid(self._pass(x).logit) if self.examples else 0.5
        return {False: 1.0 - p, True: p}

    def learn_one(self, x: dict[Hashable, Any], y: base.typing.ClfTarget) -> None:
        """Learn one example given as a dictionary of numbers and texts; y is true or false."""
        self._scaling.learn_one(x)
        self._step(self._pass(x), float(bool(y)))
        self.examples += 1

    def _pass(self, x: Mapping[Hashable, Any]) -> _Passed:
        places, values = self._placed(x)
        outputs = [values @ self._vectors[places] / math.sqrt(max(1, len(places)))]
        for layer in self._layers:
            outputs.append(np.maximum(layer[:, :-1] @ outputs[-1] + layer[:, -1], 0.0))
        logit = self._last[:-1] @ outputs[-1] + self._last[-1] + values @ self._linear[places]
        return _Passed(places, values, outputs, min(max(float(logit), -_CERTAIN), _CERTAIN))

    def _placed(self, x: Mapping[Hashable, Any]) -> tuple[Numbers, Floats]:
        """Return places and values of an example's features, in the order of their names."""
        told = {f"#{name}": value for name, value in self._scaling.transform_one(x).items()}
        for name, value in x.items():
            if isinstance(value, (int, float)):
                told[f"{name}:{log_bin(float(value))}"] = 1.0
            elif isinstance(value, str):
                told[f"{name}={value}"] = 1.0
        names = sorted(told)
        places = [feature_hash("", name) % 2**self.bits for name in names]
        return np.array(places, dtype=np.int64), np.array([told[name] for name in names])

    def _step(self, passed: _Passed, label: float) -> None:
        """Move all parameters against the gradient of the log loss."""
        miss = sigmoid(passed.logit) - label
        back = miss * self._last[:-1]
        self._move("last", slice(None), miss * np.append(passed.outputs[-1], 1.0))
        for at in range(len(self._layers) - 1, -1, -1):
            back = back * (passed.outputs[at + 1] > 0)
            gradient = np.outer(back, np.append(passed.outputs[at], 1.0))
            back = back @ self._layers[at][:, :-1]
            self._move(f"layer{at}", slice(None), gradient)
        places, values = _together(passed.places, passed.values)
        root = math.sqrt(max(1, len(passed.places)))
        self._move("vectors", places, np.outer(values / root, back))
        self._move("linear", places, miss * values)

    def _move(self, name: str, at: Any, gradient: Floats) -> None:
        squares, held = self._squares[name], self._parameters()[name]
        squares[at] += gradient * gradient
        held[at] -= self.rate * gradient / (np.sqrt(squares[at]) + _EPSILON)

    def state(self) -> State:
        """Return all that the future depends on."""
        state: State = {name: getattr(self, name) for name in _RANGES}
        state |= {"rate": self.rate, "examples": self.examples}
        for name, held in self._parameters().items():
            state |= {name: held.copy(), f"squares.{name}": self._squares[name].copy()}
        return state | nested("scaling", self._scaling.state())

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the network that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        sizes = {name: integer(state, name, *limits) for name, limits in _RANGES.items()}
        model = cls(**sizes, rate=number(state, "rate"))
        model.examples = integer(state, "examples", 0, 2**62)
        for name, held in model._parameters().items():
            held[...] = array(state, name, np.float64, held.shape)
            model._squares[name] = array(state, f"squares.{name}", np.float64, held.shape)
        model._scaling.restore(part_of(state, "scaling"))
        return model


_RANGES = {
    "hidden": (1, 10_000),
    "second": (0, 10_000),
    "size": (1, 1_000),
    "bits": (4, 24),
    "seed": (-(2**62), 2**62),
}


def _together(places: Numbers, values: Floats) -> tuple[Numbers, Floats]:
    """Return each place once, with the sum of its values."""
    once, which = np.unique(places, return_inverse=True)
    return once, np.bincount(which, values, len(once)).astype(np.float64)

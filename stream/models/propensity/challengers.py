"""Challengers: river's own classifiers, which score in the champion's shadow.

Rules
-----
- A challenger decides nothing. It predicts, its prediction is kept beside the label, and it
  learns: so it is known at any time whether another kind of model would do better here. To
  promote one is a decision of people, on record in an ADR.
- Each sees a bounded share of the examples, drawn by a hash of their number: all of the first
  few thousand, then so few that the dear ones cost no more than the champion.
- A tree's time grows with the square of the levels of a column of texts: it is shown the first
  64 of each, and all others as one.
- Numbers are scaled, texts become hashed indicators, for the linear ones; the trees take both as
  they are. A number that is not finite becomes a text: one NaN would poison a linear model for
  good.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, Final, NamedTuple

from river import base, compose, forest, linear_model, optim, preprocessing, tree

from stream.models.base.hashing import draw, feature_hash

_INDICATORS = 2**16  # of texts: river's linear models never evict
_HUGE = 1e15  # river squares numbers and adds them up
_CLIP = 6.0  # standard deviations: beyond it an outlier would only tear the weights

Example = Mapping[Any, Any]


class RiverChallenger(NamedTuple):
    """A river classifier and its share: all of the first ``free`` examples, then ``share``.

    ``levels`` bounds what it is shown of columns of texts; None shows it all.
    """

    name: str
    model: base.Classifier | compose.Pipeline
    free: int
    share: float
    levels: Levels | None = None

    def sees(self, number: int, seed: int = 0) -> bool:
        """Return whether this challenger takes part in the example of this number."""
        return number < self.free or draw(seed, number) < self.share

    def predict(self, x: Example) -> float:
        """Return its probability that the label is 1; 0.5 when it can tell nothing."""
        told = self.model.predict_proba_one(self._shown(x)).get(True, 0.5)
        return float(told) if math.isfinite(told) else 0.5

    def learn(self, x: Example, label: int) -> None:
        """Learn an example."""
        if self.levels is not None:
            self.levels.learn(x)
        self.model.learn_one(self._shown(x), bool(label))

    def _shown(self, x: Example) -> dict[Hashable, float | str]:
        cleaned = clean(x)
        return cleaned if self.levels is None else self.levels.bounded(cleaned)

    def bounds(self, examples: int) -> str:
        """Say what bounded this challenger in so many examples; nothing if nothing did."""
        told = []
        if examples > self.free:
            told.append(f"saw {self.share:.0%} of the rows after the first {self.free:,}")
        if self.levels is not None and (full := self.levels.full()):
            told.append(f"saw the first {MOST_LEVELS} levels, and all others as one, of {full}")
        return "; ".join(told)


class Levels:
    """The levels of columns of texts, as many as a tree is shown.

    Examples
    --------
    >>> levels = Levels(most=1)
    >>> levels.learn({"brand": "acme"})
    >>> levels.learn({"brand": "zeta"})
    >>> levels.bounded(clean({"brand": "acme"})), levels.bounded(clean({"brand": "zeta"}))
    ({'brand=': 'acme'}, {'brand=': '\\x00others'})
    >>> levels.full()
    'brand'
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._known: dict[Hashable, set[str]] = {}
        self._full: dict[str, None] = {}

    def learn(self, x: Example) -> None:
        """Take an example's levels in, as long as there is room."""
        for name, value in clean(x).items():
            if isinstance(value, str):
                known = self._known.setdefault(name, set())
                if value in known:
                    continue
                if len(known) < self._most:
                    known.add(value)
                else:
                    self._full[str(name).removesuffix("=")] = None

    def bounded(self, cleaned: dict[Hashable, float | str]) -> dict[Hashable, float | str]:
        """Return an example with the levels beyond the bound made one."""
        return {
            name: value if not isinstance(value, str) or self._has(name, value) else OTHERS
            for name, value in cleaned.items()
        }

    def full(self) -> str:
        """The columns that have more levels than the bound."""
        return ", ".join(self._full)

    def _has(self, name: Hashable, value: str) -> bool:
        known = self._known.get(name, ())
        return value in known or len(known) < self._most


MOST_LEVELS: Final = 64
"""Levels of a column that a tree is shown: its split attempts take the square of them."""
OTHERS: Final = "\0others"


def challengers(seed: int = 0) -> list[RiverChallenger]:
    """Return fresh challengers, the cheap ones first."""
    return [
        RiverChallenger(
            "logistic", _linear(linear_model.LogisticRegression(optim.AdaGrad(0.1))), *_ALL
        ),
        RiverChallenger("passive_aggressive", _linear(_passive_aggressive()), *_ALL),
        RiverChallenger("linear_svm", _linear(_hinge()), *_ALL),
        RiverChallenger("hoeffding_tree", _tree(), *_ALL, Levels(MOST_LEVELS)),
        RiverChallenger("adaptive_forest", _forest(seed), 20_000, 0.02, Levels(MOST_LEVELS)),
    ]


_ALL = (50_000, 0.1)


def clean(x: Example) -> dict[Hashable, float | str]:
    """Return an example of finite numbers and texts only.

    A text is named apart from a number of the same column: trees take a feature for one or the
    other, whatever it was first, and fail when it changes.

    Examples
    --------
    >>> clean({"price": 9, "brand": None, "ratio": float("nan")})
    {'price': 9.0, 'brand=': 'None', 'ratio=': 'nan'}
    """
    cleaned: dict[Hashable, float | str] = {}
    for name, value in x.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            cleaned[name] = max(-_HUGE, min(_HUGE, float(value)))
        else:
            cleaned[f"{name}="] = str(value)
    return cleaned


def _linear(model: base.Classifier) -> compose.Pipeline:
    scaled = compose.Pipeline(
        compose.FuncTransformer(_numbers),
        preprocessing.StandardScaler(),
        compose.FuncTransformer(_clipped),
    )
    return compose.Pipeline(scaled + compose.FuncTransformer(_indicators), model)


def _tree() -> base.Classifier:
    # binary: a split by item would else grow a leaf for each that there is
    return tree.HoeffdingTreeClassifier(grace_period=100, binary_split=True)


def _forest(seed: int) -> base.Classifier:
    return forest.ARFClassifier(n_models=10, binary_split=True, seed=seed)


def _passive_aggressive() -> base.Classifier:
    return linear_model.PAClassifier(C=0.01)  # type: ignore[no-untyped-call]


def _hinge() -> base.Classifier:
    return linear_model.LogisticRegression(optim.SGD(0.01), loss=optim.losses.Hinge(), l2=1e-4)


def _numbers(x: Example) -> dict[Hashable, Any]:
    return {name: value for name, value in x.items() if isinstance(value, float)}


def _clipped(x: Example) -> dict[Hashable, Any]:
    return {name: max(-_CLIP, min(_CLIP, value)) for name, value in x.items()}


def _indicators(x: Example) -> dict[Hashable, Any]:
    return {
        feature_hash(str(name), value) % _INDICATORS: 1.0
        for name, value in x.items()
        if isinstance(value, str)
    }

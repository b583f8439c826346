"""Challengers: river's own classifiers, which score in the champion's shadow.

Rules
-----
- A challenger decides nothing. It predicts, its prediction is kept beside the label, and it
  learns: so it is known at any time whether another kind of model would do better here. To
  promote one is a decision of people, on record in an ADR.
- Each sees a bounded share of the examples, drawn by a hash of their number: all of the first
  few thousand, then so few that the dear ones cost no more than the champion.
- Numbers are scaled, texts become hashed indicators, for the linear ones; the trees take both as
  they are. A number that is not finite becomes a text: one NaN would poison a linear model for
  good.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

from river import base, compose, forest, linear_model, optim, preprocessing, tree

from stream.models.hashing import draw, feature_hash

_INDICATORS = 2**16  # of texts: river's linear models never evict
_HUGE = 1e15  # river squares numbers and adds them up
_CLIP = 6.0  # standard deviations: beyond it an outlier would only tear the weights

Example = Mapping[Any, Any]


class Challenger(NamedTuple):
    """A river classifier and its share: all of the first ``free`` examples, then ``share``."""

    name: str
    model: base.Classifier | compose.Pipeline
    free: int
    share: float

    def sees(self, number: int, seed: int = 0) -> bool:
        """Return whether this challenger takes part in the example of this number."""
        return number < self.free or draw(seed, number) < self.share

    def predict(self, x: Example) -> float:
        """Return its probability that the label is 1; 0.5 when it can tell nothing."""
        told = self.model.predict_proba_one(clean(x)).get(True, 0.5)
        return float(told) if math.isfinite(told) else 0.5

    def learn(self, x: Example, label: int) -> None:
        """Learn an example."""
        self.model.learn_one(clean(x), bool(label))


def challengers(seed: int = 0) -> list[Challenger]:
    """Return fresh challengers, the cheap ones first."""
    return [
        Challenger("logistic", _linear(linear_model.LogisticRegression(optim.AdaGrad(0.1))), *_ALL),
        Challenger("passive_aggressive", _linear(_passive_aggressive()), *_ALL),
        Challenger("linear_svm", _linear(_hinge()), *_ALL),
        Challenger("hoeffding_tree", _tree(), *_ALL),
        Challenger("adaptive_forest", _forest(seed), free=20_000, share=0.02),
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

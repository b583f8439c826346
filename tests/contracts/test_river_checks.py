from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from river import base, compose, datasets, preprocessing
from river.checks import common, yield_checks

from stream.models.base.least_squares import RecursiveLeastSquares
from stream.models.forecast import SeriesForecaster
from stream.models.propensity import Propensity
from stream.models.propensity.network import HashedNetwork
from stream.models.segments.density import DensitySegments
from stream.models.segments.hierarchy import HierarchicalSegments
from stream.models.segments.kmeans import IncrementalKMeans
from stream.models.segments.som import SelfOrganisingMap
from stream.models.value import SpendRegressor

ESTIMATORS: list[base.Estimator] = [
    Propensity(bits=12),
    Propensity(bits=12, crosses=0, triples=0),
    IncrementalKMeans(sample=128),
    DensitySegments(warmup=64, refresh=64),
    HierarchicalSegments(leaves=12),
    SelfOrganisingMap(rows=4, columns=4, warmup=64),
]

# river feeds no data to clusterers in its suite; these of its checks hold for them as well.
OF_CLUSTERERS = [
    common.check_learn_one,
    common.check_pickling,
    common.check_shuffle_features_no_impact,
    common.check_emerging_features,
    common.check_disappearing_features,
    common.check_radically_disappearing_features,
    common.check_predict_one_pure,
    common.check_predict_one_before_any_learn,
    common.check_no_state_aliasing_with_input,
    common.check_clone_is_independent,
]


OF_THE_SHELF: list[base.Estimator] = [
    SeriesForecaster(seasons=(2,), leads=2),
    RecursiveLeastSquares(),
    SpendRegressor(),
    HashedNetwork(bits=8),
]


@pytest.fixture
def without_sklearn(monkeypatch: pytest.MonkeyPatch) -> None:
    """River's suite imports scikit-learn for multi-output regression only, which we have not."""
    for name in ("sklearn", "sklearn.datasets"):
        if name not in sys.modules:
            monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setattr(
        sys.modules["sklearn"], "datasets", sys.modules["sklearn.datasets"], raising=False
    )


@pytest.mark.parametrize("model", [*ESTIMATORS, *OF_THE_SHELF], ids=str)
@pytest.mark.usefixtures("without_sklearn")
def test_rivers_own_suite_passes(model: base.Estimator) -> None:
    checks = list(yield_checks(model))
    assert len(checks) > 12
    for check in checks:
        check(model.clone())


@pytest.mark.parametrize("check", OF_CLUSTERERS, ids=lambda check: str(check.__name__))
@pytest.mark.parametrize("model", ESTIMATORS[2:], ids=str)
def test_rivers_checks_on_data_pass_for_clusterers(
    model: base.Clusterer, check: Callable[..., None]
) -> None:
    check(model.clone(), dataset=_Phishing())


class _Phishing:
    def __iter__(self) -> Iterator[tuple[dict[str, Any], bool]]:
        yield from datasets.Phishing().take(200)


def test_the_propensity_works_in_a_river_pipeline() -> None:
    pipeline = compose.Discard("empty_server_form_handler") | Propensity(bits=14)
    right = 0
    for n, (x, y) in enumerate(datasets.Phishing()):
        right += n >= 250 and pipeline.predict_one(x) == y
        pipeline.learn_one(x, y)
    assert right / 1000 > 0.87


def test_segments_work_in_a_river_pipeline() -> None:
    pipeline = preprocessing.StandardScaler() | IncrementalKMeans(k=3, seed=1)
    for x, _ in datasets.Phishing():
        pipeline.learn_one(x)
    assert len({pipeline.predict_one(x) for x, _ in datasets.Phishing()}) == 3

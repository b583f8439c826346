from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from river.checks import common, reco

from stream.models.recommend.ranker import SessionRanker

# What river asks of every estimator and of every ranker; the rest of its suite feeds data sets of
# scikit-learn's to regressors and classifiers.
CHECKS = [
    common.check_repr,
    common.check_str,
    common.check_tags,
    common.check_clone_same_class,
    common.check_clone_is_idempotent,
    common.check_init_has_default_params_for_tests,
    common.check_init_default_params_are_not_mutable,
    common.check_doc,
    common.check_clone_changes_memory_addresses,
    common.check_mutate_can_be_idempotent,
    common.check_pickling_supports_roundtrip,
    common.check_repr_roundtrips_clone,
    common.check_clone_with_new_params_applies,
    common.check_get_params_matches_signature,
    reco.check_reco_routine,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_river_is_content(check: Callable[[Any], None]) -> None:
    check(SessionRanker())


def test_users_beyond_the_bound_are_forgotten() -> None:
    ranker = SessionRanker(items=64, sessions=64, users=3)
    for n in range(10):
        ranker.learn_one(f"u{n}", "tea", 1)
        ranker.learn_one(f"u{n}", "milk", 1)
    assert len(ranker._latest) == 3
    assert ranker.predict_one("u0", "milk") == 0.0
    assert ranker.predict_one("u9", "milk") > 0.0
    ranker.learn_one("u9", "soap", 0)
    assert ranker._latest["u9"] == ["tea", "milk"]

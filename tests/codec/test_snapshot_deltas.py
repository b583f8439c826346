from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stream.codec.snapshots.delta import apply, delta
from stream.codec.snapshots.snapshot import fingerprint
from stream.models.base.state import StateError

names = st.sampled_from(["a", "b", "c", "d"])
vectors = arrays.arrays(np.float32, 20, elements=st.sampled_from([0.0, -0.0, 1.0, np.nan]))
others = arrays.arrays(np.int64, arrays.array_shapes(max_dims=2, max_side=5))
values = st.sampled_from([0, 0.0, -0.0, 1, "x", [1], [1.0], [-0.0], [0.0]]) | vectors | others
states = st.dictionaries(names, values)


@given(states, states)
def test_a_delta_turns_one_state_into_the_other_bit_for_bit(old: Any, new: Any) -> None:
    before = fingerprint(old)
    assert fingerprint(apply(old, delta(old, new))) == fingerprint(new)
    assert fingerprint(old) == before


@given(states)
def test_nothing_changed_is_nothing_to_send(state: Any) -> None:
    assert delta(state, dict(state)) == {}


def test_of_a_large_array_only_what_changed_is_sent() -> None:
    old = {"w": np.zeros((1000, 2), dtype=np.float32)}
    new = {"w": old["w"].copy()}
    new["w"][7, 1] = 0.5
    changes = delta(old, new)
    assert [changes[name].tolist() for name in ("@w", "#w")] == [[15], [0.5]]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "changes",
    [
        {"@w": np.array([9], dtype=np.uint32), "#w": np.array([1.0])},
        {"@w": np.array([1], dtype=np.uint32), "#w": np.array([1.0, 2.0])},
        {"@w": np.array([1], dtype=np.int64), "#w": np.array([1.0])},
        {"@w": np.array([1], dtype=np.uint32), "#w": np.array([1], dtype=np.int64)},
        {"@w": np.array([1], dtype=np.uint32)},
        {"@v": np.array([1], dtype=np.uint32), "#v": np.array([1.0])},
        {"@w": 3, "#w": 4},
        {"-": "w"},
        {"w": 1},
    ],
)
def test_a_delta_that_does_not_fit_is_refused(changes: Any) -> None:
    with pytest.raises(StateError):
        apply({"w": np.zeros(3)}, changes)

"""State of an estimator as plain values: what a snapshot holds and a restart begins from.

Rules
-----
- A state is a flat dictionary from names to integers, floats, texts, lists of these, and numpy
  arrays. Parameters are in it too, so that it stands for itself.
- ``type(model).from_state(model.state())`` goes on bit for bit as the model would have.
- The arrays of `state` are copies: what is learned later does not change them.
- A part's names carry the part's name and a dot: see `nested` and `part_of`.
- A reader trusts nothing: the getters below refuse what is missing or of another kind or shape.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeAlias

import numpy as np
import numpy.typing as npt

StateValue: TypeAlias = int | float | str | list[Any] | npt.NDArray[Any]
State: TypeAlias = dict[str, StateValue]


class StateError(ValueError):
    """A state that this estimator cannot have written; names the entry."""


class Stateful(Protocol):
    """What can be put into a snapshot and taken out again."""

    def state(self) -> State:
        """Return all that the future depends on."""
        ...

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the object that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        ...


def nested(name: str, state: Mapping[str, StateValue]) -> State:
    """Return a part's state under the part's name.

    Examples
    --------
    >>> nested("scaler", {"n": 3})
    {'scaler.n': 3}
    """
    return {f"{name}.{key}": value for key, value in state.items()}


def part_of(state: Mapping[str, StateValue], name: str) -> State:
    """Return what `nested` put under a part's name.

    Examples
    --------
    >>> part_of({"scaler.n": 3, "k": 1}, "scaler")
    {'n': 3}
    """
    start = len(name) + 1
    return {key[start:]: value for key, value in state.items() if key.startswith(f"{name}.")}


def integer(state: Mapping[str, StateValue], name: str, low: int, high: int) -> int:
    """Return an integer entry in low … high, or raise `StateError`."""
    value = state.get(name)
    if type(value) is not int or not low <= value <= high:
        raise StateError(f"{name}: expected an integer in {low} … {high}")
    return value


def number(state: Mapping[str, StateValue], name: str) -> float:
    """Return a finite float entry, or raise `StateError`."""
    value = state.get(name)
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        raise StateError(f"{name}: expected a finite number")
    return float(value)


def array(
    state: Mapping[str, StateValue], name: str, dtype: npt.DTypeLike, shape: tuple[int, ...]
) -> npt.NDArray[Any]:
    """Return a copy of an array entry of exactly this dtype and shape, free of NaN.

    Raises
    ------
    StateError
        If the entry is missing, or is not that.
    """
    value = state.get(name)
    if not isinstance(value, np.ndarray) or value.dtype != dtype or value.shape != shape:
        raise StateError(f"{name}: expected an array of {np.dtype(dtype)} shaped {shape}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise StateError(f"{name}: holds a number that is not finite")
    return value.copy()


def texts(state: Mapping[str, StateValue], name: str) -> list[str]:
    """Return a copy of an entry that is a list of texts, or raise `StateError`."""
    value = state.get(name)
    if not isinstance(value, list) or not all(type(each) is str for each in value):
        raise StateError(f"{name}: expected a list of texts")
    return list(value)


def length(state: Mapping[str, StateValue], name: str) -> int:
    """Return how many elements an array entry's first dimension has, or raise `StateError`."""
    value = state.get(name)
    if not isinstance(value, np.ndarray) or not value.ndim:
        raise StateError(f"{name}: expected an array")
    return len(value)

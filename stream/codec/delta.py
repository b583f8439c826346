"""What changed between two states of one estimator, as a state of its own.

Rules
-----
- ``apply(old, delta(old, new))`` is ``new``, bit for bit; neither argument is changed.
- Of an array that kept its dtype and shape only the changed elements are kept, by flat index,
  when that is smaller; floats are compared by their bits.
- A delta fits one state only: a snapshot says by its ``base`` which.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.codec.entries import pack_state
from stream.models.state import State, StateError, StateValue

_WHOLE, _INDEX, _VALUES, _GONE = "=", "@", "#", "-"
_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def delta(old: Mapping[str, StateValue], new: Mapping[str, StateValue]) -> State:
    """Return what turns ``old`` into ``new``.

    Examples
    --------
    >>> delta({"n": 1, "k": 5, "gone": 0}, {"n": 2, "k": 5})
    {'-': ['gone'], '=n': 2}
    """
    changes: State = {}
    gone = sorted(old.keys() - new.keys())
    if gone:
        changes[_GONE] = list(gone)
    for name, value in new.items():
        changes.update(_changed(name, old.get(name), value))
    return changes


def apply(old: Mapping[str, StateValue], changes: Mapping[str, StateValue]) -> State:
    """Return the state that `delta` was taken to.

    Raises
    ------
    StateError
        If the changes do not fit the state.
    """
    gone = changes.get(_GONE, [])
    if not isinstance(gone, list):
        raise StateError("a delta's list of what is gone is not a list")
    new = {name: value for name, value in old.items() if name not in gone}
    for key, value in changes.items():
        mark, name = key[:1], key[1:]
        if mark == _WHOLE:
            new[name] = value
        elif mark == _INDEX:
            new[name] = _patched(name, old.get(name), value, changes.get(_VALUES + name))
        elif mark not in (_VALUES, _GONE):
            raise StateError(f"{key}: not an entry of a delta")
    return new


def _changed(name: str, old: StateValue | None, new: StateValue) -> State:
    if not isinstance(new, np.ndarray):
        same = old is not None and pack_state({name: old}) == pack_state({name: new})
        return {} if same else {_WHOLE + name: new}
    if not isinstance(old, np.ndarray) or old.dtype != new.dtype or old.shape != new.shape:
        return {_WHOLE + name: new}
    index = np.flatnonzero(_bits(old) != _bits(new))
    if not index.size:
        return {}
    if index.size * (4 + new.itemsize) >= new.nbytes or new.size > np.iinfo(np.uint32).max:
        return {_WHOLE + name: new}
    return {_INDEX + name: index.astype(np.uint32), _VALUES + name: new.reshape(-1)[index]}


def _bits(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values).reshape(-1).view(_BITS[values.itemsize])


def _patched(
    name: str, old: StateValue | None, index: StateValue, values: StateValue | None
) -> npt.NDArray[Any]:
    if not all(isinstance(each, np.ndarray) for each in (old, index, values)):
        raise StateError(f"{name}: a delta's part is not an array")
    assert isinstance(old, np.ndarray) and isinstance(index, np.ndarray)
    assert isinstance(values, np.ndarray)
    if index.dtype != np.uint32 or index.ndim != 1 or values.shape != index.shape:
        raise StateError(f"{name}: a delta's indexes and values do not match")
    if values.dtype != old.dtype or (index.size and int(index.max()) >= old.size):
        raise StateError(f"{name}: a delta of another array")
    new = old.copy()
    new.reshape(-1)[index] = values
    return new

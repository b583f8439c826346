"""What changed between two states of one estimator, as a state of its own.

Rules
-----
- ``apply(old, delta(old, new))`` is ``new``, bit for bit; neither argument is changed.
- Of an array that kept its dtype and the shape of its rows only the changed elements are kept, by
  flat index, and the rows behind the last; of a list of texts likewise. Floats are compared by
  their bits. What costs more so than whole is kept whole.
- A delta fits one state only: a snapshot says by its ``base`` which.
- The form of the entries is that of `stream.models.base.changes`.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_
from typing import Any

import numpy as np
import numpy.typing as npt

from stream.codec.snapshots.entries import pack_state
from stream.models.base.changes import ADDED, GONE, INDEX, LENGTH, PLACES, VALUES, WHOLE, patched
from stream.models.base.state import State, StateValue

apply = patched

_BITS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
_FEW = 16  # values of a list that is not worth a look at each
_CHUNK = 512  # values of a list that are looked at together


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
        changes[GONE] = list(gone)
    for name, value in new.items():
        changes.update(_changed(name, old.get(name), value))
    return changes


def _changed(name: str, old: StateValue | None, new: StateValue) -> State:
    if isinstance(new, np.ndarray):
        return _changed_array(name, old, new)
    if isinstance(new, list) and isinstance(old, list) and min(len(old), len(new)) > _FEW:
        return _changed_list(name, old, new)
    same = old is not None and pack_state({name: old}) == pack_state({name: new})
    return {} if same else {WHOLE + name: new}


def _changed_array(name: str, old: StateValue | None, new: npt.NDArray[Any]) -> State:
    if not isinstance(old, np.ndarray) or old.dtype != new.dtype or old.ndim != new.ndim:
        return {WHOLE + name: new}
    if old.shape[1:] != new.shape[1:] or not new.ndim:
        same = old.shape == new.shape and old.tobytes() == new.tobytes()
        return {} if same else {WHOLE + name: new}
    kept = min(len(old), len(new))
    index = np.flatnonzero(_bits(old[:kept]) != _bits(new[:kept]))
    grown = new[kept:]
    cost = index.size * (4 + new.itemsize) + grown.nbytes
    if (cost >= new.nbytes and (index.size or kept < len(old))) or new.size > 0xFFFFFFFF:
        return {WHOLE + name: new}
    changes: State = {}
    if kept < len(old):
        changes[LENGTH + name] = kept
    if index.size:
        changes[INDEX + name] = index.astype(np.uint32)
        changes[VALUES + name] = new.reshape(-1)[index]
    if len(grown):
        changes[ADDED + name] = grown
    return changes


def _changed_list(name: str, old: list[Any], new: list[Any]) -> State:
    kept = min(len(old), len(new))
    places = [
        [place, new[place]]
        for start in range(0, kept, _CHUNK)
        if not all(map(is_, old[start : start + _CHUNK], new[start : start + _CHUNK]))
        for place in range(start, min(kept, start + _CHUNK))
        if old[place] is not new[place] and _packed(old[place]) != _packed(new[place])
    ]
    if len(places) * 2 > len(new):
        return {WHOLE + name: new}
    changes: State = {}
    if kept < len(old):
        changes[LENGTH + name] = kept
    if places:
        changes[PLACES + name] = places
    if kept < len(new):
        changes[ADDED + name] = new[kept:]
    return changes


def _packed(value: Any) -> Any:
    return value if type(value) is str else pack_state({"": [value]})


def _bits(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.ascontiguousarray(values).reshape(-1).view(_BITS[values.itemsize])

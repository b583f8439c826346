"""What changed in a state, and taking it over: whole, or in place into a live estimator's arrays.

Entries of a delta, by the first character of their names; the rest is the name of what changed
------------------------------------------------------------------------------------------------
- ``=`` the new value, whole;
- ``@`` and ``#`` of an array: flat indexes (uint32) of the elements that changed, and their values;
- ``~`` of a list: ``[position, value]`` of those that changed;
- ``+`` what was put behind the last row of an array, or the last value of a list;
- ``<`` how many rows or values are left, of what became shorter;
- ``-`` (alone) the names of what is gone.

Rules: `patched` builds a new state and trusts nothing. An estimator that has a method ``patch``
takes its changes over where its arrays lie, in time that goes with what changed and not with its
size; whoever calls it has held the changes to the state's `shapes` before, as `fitting` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from stream.models.base.state import State, StateError, StateValue

WHOLE, INDEX, VALUES, PLACES, ADDED, LENGTH, GONE = "=", "@", "#", "~", "+", "<", "-"
MARKS: Final = frozenset((WHOLE, INDEX, VALUES, PLACES, ADDED, LENGTH))

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[np.dtype[Any], tuple[int, ...]] | int | None
"""Of an array its dtype and shape, of a list its length, of anything else None."""


class Changes:
    """The changes of one part of a state.

    Examples
    --------
    >>> changes = Changes({"=a.n": 2, "+a.names": ["tea"], "@b.x": np.array([1], np.uint32)})
    >>> part = changes.part("a")
    >>> part.value("n", 1), part.value("k", 5), list(part.texts("names", 3))
    (2, 5, [(3, 'tea')])
    """

    def __init__(self, entries: Mapping[str, StateValue]) -> None:
        self.entries = entries

    def __bool__(self) -> bool:
        return bool(self.entries)

    def part(self, name: str) -> Changes:
        """The changes of a part, see `nested`."""
        start = len(name) + 2
        return Changes({
            key[0] + key[start:]: value
            for key, value in self.entries.items()
            if key.startswith(f"{name}.", 1)
        })  # fmt: skip

    def value(self, name: str, old: Any) -> Any:
        """The new value; ``old`` if it did not change."""
        if WHOLE + name in self.entries:
            return self.entries[WHOLE + name]
        mine = {mark + name for mark in MARKS} & self.entries.keys()
        return patched({name: old}, {key: self.entries[key] for key in mine})[name] if mine else old

    def into(self, name: str, array: Array, used: int) -> npt.NDArray[np.intp]:
        """Write an array's changes into ``array``, of which ``used`` rows are in use.

        Returns
        -------
        NDArray[np.intp]
            Rows that changed; one may come repeatedly.
        """
        rows = []
        entries = self.entries
        if WHOLE + name in entries:
            whole: Any = entries[WHOLE + name]
            array[: len(whole)] = whole
            rows.append(np.arange(len(whole)))
        if INDEX + name in entries:
            index: Any = entries[INDEX + name]
            array.reshape(-1)[index] = entries[VALUES + name]
            width = array[:1].size
            rows.append(index.astype(np.intp) if width == 1 else index // np.intp(width))
        if ADDED + name in entries:
            added: Any = entries[ADDED + name]
            array[used : used + len(added)] = added
            rows.append(np.arange(used, used + len(added)))
        return np.concatenate(rows) if rows else np.zeros(0, np.intp)

    def texts(self, name: str, used: int) -> Iterator[tuple[int, str]]:
        """Places and texts of a list of ``used`` texts that changed, or came to it."""
        entries = self.entries
        if WHOLE + name in entries:
            yield from enumerate(_list(entries, WHOLE + name))
        yield from ((place, text) for place, text in _list(entries, PLACES + name))
        yield from enumerate(_list(entries, ADDED + name), used)


def patched(old: Mapping[str, StateValue], changes: Mapping[str, StateValue]) -> State:
    """Return the state that the changes lead to; ``old`` stays as it is.

    Raises
    ------
    StateError
        If the changes do not fit the state.
    """
    fitting(shapes(old), changes)
    gone = changes.get(GONE, [])
    assert isinstance(gone, list)
    new = {name: value for name, value in old.items() if name not in gone}
    for name in {key[1:] for key in changes if key != GONE}:
        if WHOLE + name in changes:
            new[name] = changes[WHOLE + name]
        elif isinstance(old[name], list):
            new[name] = _patched_list(old[name], name, changes)
        else:
            new[name] = _patched_array(old[name], name, changes)
    return new


def shapes(state: Mapping[str, StateValue]) -> dict[str, Shape]:
    """What changes to this state must fit."""
    return {name: _shape(value) for name, value in state.items()}


def fitting(known: dict[str, Shape], changes: Mapping[str, StateValue]) -> dict[str, Shape]:
    """The shapes after the changes.

    Raises
    ------
    StateError
        If the changes do not fit a state of these shapes.
    """
    gone = changes.get(GONE, [])
    if not isinstance(gone, list):
        raise StateError("a delta's list of what is gone is not a list")
    after = {name: shape for name, shape in known.items() if name not in gone}
    for key, value in changes.items():
        mark, name = key[:1], key[1:]
        if mark == WHOLE:
            after[name] = _shape(value)
        elif mark == GONE and not name:
            continue
        elif mark not in MARKS:
            raise StateError(f"{key}: not an entry of a delta")
        else:
            shape = known.get(name)
            if shape is None or WHOLE + name in changes:
                raise StateError(f"{name}: a delta of what is not there")
            after[name] = _fits(name, shape, changes)
    return after


def _fits(name: str, shape: Shape, changes: Mapping[str, StateValue]) -> Shape:
    length, added = changes.get(LENGTH + name), changes.get(ADDED + name)
    size = shape if isinstance(shape, int) else shape[1][0] if shape and shape[1] else 0
    if length is not None and not (type(length) is int and 0 <= length <= size):
        raise StateError(f"{name}: a delta's length does not fit")
    size = length if isinstance(length, int) else size
    if isinstance(shape, int):
        _check_list(name, size, changes)
        return size + (len(added) if isinstance(added, list) else 0)
    assert shape is not None
    dtype, sizes = shape
    left = (size, *sizes[1:]) if sizes else ()
    _check_elements(name, dtype, int(np.prod(left)), changes)
    if added is None:
        return dtype, left
    if not isinstance(added, np.ndarray) or added.dtype != dtype or added.shape[1:] != left[1:]:
        raise StateError(f"{name}: a delta's rows do not fit")
    return dtype, (size + len(added), *left[1:])


def _check_list(name: str, size: int, changes: Mapping[str, StateValue]) -> None:
    if INDEX + name in changes or VALUES + name in changes:
        raise StateError(f"{name}: a delta of an array, for a list")
    if not isinstance(changes.get(ADDED + name, []), list):
        raise StateError(f"{name}: what a delta adds to a list is not a list")
    places = changes.get(PLACES + name, [])
    if not isinstance(places, list):
        raise StateError(f"{name}: a delta's places are not a list")
    for entry in places:
        match entry:
            case [int(place), _] if type(place) is int and 0 <= place < size:
                continue
        raise StateError(f"{name}: a delta's place is not in the list")


def _check_elements(
    name: str, dtype: np.dtype[Any], size: int, changes: Mapping[str, StateValue]
) -> None:
    index, values = changes.get(INDEX + name), changes.get(VALUES + name)
    if PLACES + name in changes:
        raise StateError(f"{name}: a delta of a list, for an array")
    if index is None and values is None:
        return
    if not isinstance(index, np.ndarray) or not isinstance(values, np.ndarray):
        raise StateError(f"{name}: a delta's part is not an array")
    if index.dtype != np.uint32 or index.ndim != 1 or values.shape != index.shape:
        raise StateError(f"{name}: a delta's indexes and values do not match")
    if values.dtype != dtype or (index.size and int(index.max()) >= size):
        raise StateError(f"{name}: a delta of another array")


def _patched_array(old: StateValue, name: str, changes: Mapping[str, StateValue]) -> Array:
    assert isinstance(old, np.ndarray)
    length: Any = changes.get(LENGTH + name)
    new = (old if length is None else old[:length]).copy()
    if INDEX + name in changes:
        index: Any = changes[INDEX + name]
        new.reshape(-1)[index] = changes[VALUES + name]
    added: Any = changes.get(ADDED + name)
    return new if added is None else np.concatenate((new, added))


def _patched_list(old: StateValue, name: str, changes: Mapping[str, StateValue]) -> list[Any]:
    assert isinstance(old, list)
    length: Any = changes.get(LENGTH + name)
    new = list(old[:length])
    for place, value in _list(changes, PLACES + name):
        new[place] = value
    return new + _list(changes, ADDED + name)


def _shape(value: StateValue) -> Shape:
    if isinstance(value, np.ndarray):
        return value.dtype, value.shape
    return len(value) if isinstance(value, list) else None


def _list(entries: Mapping[str, StateValue], key: str) -> list[Any]:
    value = entries.get(key, [])
    if not isinstance(value, list):
        raise StateError(f"{key}: not a list")
    return value

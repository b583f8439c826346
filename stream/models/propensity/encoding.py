"""Dictionaries of numbers and texts as rows of feature hashes, with numbers in learned bins.

Rules
-----
- What a value is, it shows itself: a number is a number, anything else a text, and a missing or
  infinite number a text of its own. So no column has to be declared, and none can break it.
- A number becomes its bin among quantiles of a bounded sample. That is the running scaler: it
  takes any scale, any skew and any outlier, and no step of a weight depends on a unit.
- Bins are learned while the first thousand values come (and by then powers of two apart), then
  stay: a bin that changes its meaning takes its weight with it. Only when a bin has come to hold
  far more than it did (the column has drifted) are they learned anew.
- A number with few distinct values is a code: each value is a feature. With more, its bin is what
  is paired, and the value itself, if values come back, and a narrow bin stand alone beside it.
- Beside the hashes stand the inputs of the dense learner: see `stream.models.propensity.scaling`.
- Encoding changes nothing; `learn` does.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from stream.models.base.hashing import draw, feature_hash, log_bin
from stream.models.base.state import (
    State,
    StateError,
    StateValue,
    array,
    length,
    nested,
    part_of,
    texts,
)
from stream.models.propensity.scaling import InputPlaces, RunningScale, normal_scores

Value: TypeAlias = "float | str"
Floats = npt.NDArray[np.float64]

_COLUMNS = 512  # with learned bins; any more use logarithmic ones
_SAMPLE = 512
_WINDOW = 8192  # values that the sample is drawn from, the latest
_BINS = (8, 3, 32)  # for pairs, for triples, alone
_CODES = 8  # distinct values up to which a number is a code
_VALUES = 64  # distinct values up to which each is a feature of its own
_SETTLED = 1024  # values after which bins stay
_GROWN = 0.3  # share by which a bin may grow before bins are learned anew
_REPEATED = 0.1  # share of values that come back, from which on a value says who it is


class EncodedRow(NamedTuple):
    """One example: its hashes, and dense inputs with their values; see `Encoded`."""

    fine: list[int]
    coarse: list[int]
    alone: list[int]
    inputs: list[int]
    values: list[float]


class Bins:
    """The bins of one numeric column."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.keys = (feature_hash(f"{name}^", "scaled"), feature_hash(f"{name}^", "ranked"))
        self._seed = crc32(name.encode())
        self.scale = RunningScale()
        self.count = 0
        self.repeats = False
        self.sample: list[float] = []
        self.values: dict[float, int] | None = {}  # with their hashes
        self.cut(([], [], []))
        self.shares: list[float] = []

    def learn(self, value: float) -> None:
        """Take a finite value into the scale and the sample, and at times renew the bins."""
        self.count += 1
        self.scale.learn(value)
        if self.values is not None and value not in self.values:
            self.values[value] = feature_hash(self.name, value)
            if len(self.values) > _VALUES:
                self.values = None
        if len(self.sample) < _SAMPLE:
            self.sample.append(value)
        else:
            slot = int(draw(self._seed, self.count) * min(self.count, _WINDOW))
            if slot < _SAMPLE:
                self.sample[slot] = value
        if self.count >= 16 and (self.count & (self.count - 1) == 0 or self.count % 1024 == 0):
            self._renew()

    def add_to(self, row: EncodedRow, value: float) -> None:
        """Add the features of a finite value to a row."""
        values = self.values
        if values is not None and len(values) <= _CODES:
            code = self.hashed(value)
            row.fine.append(code)
            row.coarse.append(code)
            return
        if not self.shares:
            logarithmic = feature_hash(self.name, log_bin(value))
            row.fine.append(logarithmic)
            row.coarse.append(logarithmic)
            return
        fine, coarse, alone = self.edges
        row.fine.append(self._bins[0][bisect_left(fine, value)])
        row.coarse.append(self._bins[1][bisect_left(coarse, value)])
        row.alone.append(self._bins[2][bisect_left(alone, value)])
        if values is not None or self.repeats:
            row.alone.append(self.hashed(value))

    def hashed(self, value: float) -> int:
        """Return the hash of the value itself."""
        known = self.values.get(value) if self.values else None
        return feature_hash(self.name, value) if known is None else known

    def cut(self, edges: tuple[list[float], ...]) -> None:
        """Have bins between these edges: for pairs, for triples, alone."""
        self.edges = edges
        self._bins = [
            [feature_hash(f"{self.name}{mark}", at) for at in range(len(cuts) + 1)]
            for mark, cuts in zip("#~+", edges, strict=True)
        ]

    def inputs(self, value: float) -> tuple[float, float]:
        """Return the value scaled, and its normal score among the bins."""
        edges = self.edges[2]
        ranked = normal_scores(len(edges) + 1)[bisect_left(edges, value)]
        return self.scale.scaled(value), ranked

    @property
    def is_code(self) -> bool:
        """Whether values are few enough to stand for themselves."""
        return self.values is not None

    def _renew(self) -> None:
        sample = np.array(self.sample)
        times = np.sort(np.unique(sample, return_counts=True)[1])[:-1]  # the commonest apart
        self.repeats = bool(times[times > 1].sum() > _REPEATED * times.sum())
        if self.count > _SETTLED:
            growth = _shares(sample, self.edges[0]) - np.array(self.shares)
            if growth.max() < _GROWN:
                return
        self.cut(tuple(_quantiles(sample, bins) for bins in _BINS))
        self.shares = _shares(sample, self.edges[0]).tolist()


class Encoder:
    """Encodes dictionaries, its columns' bins learned as they come.

    Parameters
    ----------
    inputs
        Dense inputs at most.

    Examples
    --------
    >>> encoder = Encoder()
    >>> encoder.encode({"brand": "acme", "price": 9.9}) == encoder.encode(
    ...     {"price": 9.9, "brand": "acme"}
    ... )
    True
    """

    def __init__(self, inputs: int = 128) -> None:
        self._columns: dict[str, Bins] = {}
        self._places = InputPlaces(inputs)

    @property
    def inputs(self) -> int:
        """Dense inputs at most."""
        return self._places.most

    def learn(self, x: Mapping[Any, Any]) -> None:
        """Learn the bins, scales and places of what is in an example."""
        for key, given in x.items():
            name, value = str(key), _value(given)
            column = self._learned(name, value) if isinstance(value, float) else None
            if column is None or not isinstance(value, float):
                self._places.count(feature_hash(name, value))
                continue
            for own in column.keys:
                self._places.reserve(own)
            if column.is_code:
                self._places.count(column.hashed(value))

    def _learned(self, name: str, value: float) -> Bins | None:
        column = self._columns.get(name)
        if column is None:
            if len(self._columns) >= _COLUMNS:
                return None
            column = self._columns[name] = Bins(name)
        column.learn(value)
        return column

    def encode(self, x: Mapping[Any, Any]) -> EncodedRow:
        """Return an example as a row, whatever the order of its features."""
        row = EncodedRow([], [], [], [], [])
        for name, given in sorted((str(key), given) for key, given in x.items()):
            value = _value(given)
            column = self._columns.get(name) if isinstance(value, float) else None
            if column is None or not isinstance(value, float):
                text = log_bin(value) if isinstance(value, float) else value
                row.fine.append(feature_hash(name, text))
                row.coarse.append(row.fine[-1])
                self._place(row, row.fine[-1], 1.0)
                continue
            column.add_to(row, value)
            for key, told in zip(column.keys, column.inputs(value), strict=True):
                self._place(row, key, told)
            if column.is_code:
                self._place(row, column.hashed(value), 1.0)
        return row

    def _place(self, row: EncodedRow, key: int, value: float) -> None:
        place = self._places.find(key)
        if place:
            row.inputs.append(place)
            row.values.append(value)

    def state(self) -> State:
        """Return all columns, their lists of numbers one after the other."""
        columns = list(self._columns.values())
        state: State = {
            "names": [column.name for column in columns],
            "scales": np.array(
                [(column.scale.mean, column.scale.var, column.scale.count) for column in columns],
                dtype=np.float64,
            ).reshape(-1, 3),
            "counts": np.array([column.count for column in columns], dtype=np.int64),
            "repeats": np.array([column.repeats for column in columns], dtype=np.uint8),
            "coded": np.array([column.values is not None for column in columns], dtype=np.uint8),
        }
        for name, lists in _LISTS.items():
            all_lists = [lists(column) for column in columns]
            state[f"{name}.sizes"] = np.array([len(each) for each in all_lists], dtype=np.int64)
            state[name] = np.array([v for each in all_lists for v in each], dtype=np.float64)
        return state | nested("places", self._places.state())

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> Self:
        """Return the encoder that `state` was taken from.

        Raises
        ------
        StateError
            If the state is not one of this class.
        """
        encoder = cls()
        encoder._places = InputPlaces.from_state(part_of(state, "places"))
        names = texts(state, "names")
        if len(names) > _COLUMNS or len(set(names)) != len(names):
            raise StateError(f"names: more than {_COLUMNS}, or one twice")
        scales = array(state, "scales", np.float64, (len(names), 3)).tolist()
        counts = array(state, "counts", np.int64, (len(names),)).tolist()
        repeats = array(state, "repeats", np.uint8, (len(names),)).tolist()
        coded = array(state, "coded", np.uint8, (len(names),)).tolist()
        lists = {name: _split(state, name, len(names)) for name in _LISTS}
        for i, name in enumerate(names):
            column = encoder._columns[name] = Bins(name)
            column.count, column.repeats = counts[i], bool(repeats[i])
            mean, var, seen = scales[i]
            column.scale = RunningScale(mean, var, int(seen))
            column.sample = lists["sample"][i]
            values = {value: feature_hash(name, value) for value in lists["values"][i]}
            column.values = values if coded[i] else None
            column.cut(tuple(lists[f"edges{bins}"][i] for bins in _BINS))
            column.shares = lists["shares"][i]
            if column.shares and len(column.shares) != len(column.edges[0]) + 1:
                raise StateError("shares: not one a bin")
        return encoder


_LISTS: dict[str, Callable[[Bins], list[float]]] = {
    "sample": lambda column: column.sample,
    "values": lambda column: sorted(column.values or ()),
    **{
        f"edges{bins}": lambda column, which=which: column.edges[which]  # type: ignore[misc]
        for which, bins in enumerate(_BINS)
    },
    "shares": lambda column: column.shares,
}


def _split(state: Mapping[str, StateValue], name: str, count: int) -> list[list[float]]:
    sizes = array(state, f"{name}.sizes", np.int64, (count,))
    total = length(state, name)
    if (sizes < 0).any() or (sizes > total).any() or sizes.sum() != total:
        raise StateError(f"{name}: sizes that do not add up")
    parts = np.split(array(state, name, np.float64, (total,)), np.cumsum(sizes)[:-1])
    return [part.tolist() for part in parts[:count]]


def _value(given: Any) -> Value:
    """Return a value as a finite number or as a text."""
    if isinstance(given, (int, float, np.integer, np.floating)) and not isinstance(given, bool):
        try:
            number = float(given)
        except OverflowError:
            return str(given)
        return number if math.isfinite(number) else str(number)
    return str(given)


def _quantiles(sample: Floats, bins: int) -> list[float]:
    edges = np.quantile(sample, np.linspace(0.0, 1.0, bins + 1)[1:-1])
    return [float(edge) for edge in np.unique(edges)]


def _shares(sample: Floats, edges: list[float]) -> Floats:
    bins = np.searchsorted(edges, sample)
    return np.bincount(bins, minlength=len(edges) + 1) / len(sample)

"""Item names as numbers, in a fixed number of slots.

Rules: a number names one item for good, a slot is used again. ``number & mask`` is the slot;
the higher bits count how often the slot was given away, so a number that is still stored in some
table after its item was evicted is recognised, with one comparison, as no longer live. Numbers
are positive; 0 means none. Full, the vocabulary evicts its least used eighth at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.kernel import kernel
from stream.models.base.names import Codes, Names, grown
from stream.models.base.state import State

Numbers = NDArray[np.int32]


class Numbering(NamedTuple):
    """A vocabulary as kernels see it.

    Attributes
    ----------
    numbers
        int32 ``[capacity]``: the number that each slot's item has.
    use
        float64 ``[capacity]``: how much each slot's item is used.
    mask
        Bits of a number that are its slot.
    """

    numbers: Numbers
    use: NDArray[np.float64]
    mask: int


@kernel
def lives(number: int, numbers: Numbers, mask: int) -> bool:
    """Whether a number still names an item, 0 does not; the rest as of `Numbering`."""
    alive: bool = (numbers[number & mask] == number) & (number > 0)
    return alive


class Vocabulary:
    """At most ``capacity`` items, the least used making room for new ones.

    Parameters
    ----------
    capacity
        Slots, 1 to 2**24.

    Attributes
    ----------
    use
        float64 ``[capacity]``: how much each slot's item is used; its owner adds to it.
    names, index
        Names by slot and numbers by name, to read only.
    numbering
        The same for kernels.
    evicted
        Items that had to go so far.

    Examples
    --------
    >>> vocabulary = Vocabulary(2)
    >>> tea, milk = vocabulary.admit("tea", 2.0), vocabulary.admit("milk", 1.0)
    >>> soap = vocabulary.admit("soap", 1.0)
    >>> vocabulary.find("milk"), vocabulary.name(soap), vocabulary.evicted
    (0, 'soap', 1)
    >>> vocabulary.live(np.array([tea, milk, soap], np.int32)).tolist()
    [True, False, True]
    """

    def __init__(self, capacity: int) -> None:
        if not 1 <= capacity <= 1 << 24:
            raise ValueError(f"capacity must be 1 to {1 << 24}, not {capacity}")
        self.capacity = capacity
        self.bits = max(1, (capacity - 1).bit_length())
        self.mask = (1 << self.bits) - 1
        self.use: NDArray[np.float64] = np.zeros(capacity)
        self.numbers: Numbers = np.zeros(capacity, np.int32)
        self.evicted = 0
        self.used = 0  # slots ever given out; the first ``used`` ones
        self.names: list[str] = []
        self.index: dict[str, int] = {}
        self._free: list[int] = []
        self._names: Names | None = None
        self._known: Numbers = np.zeros(0, np.int32)
        self.numbering = Numbering(self.numbers, self.use, self.mask)

    def __len__(self) -> int:
        return len(self.index)

    def find(self, name: str) -> int:
        """The item's number, or 0."""
        return self.index.get(name, 0)

    def name(self, number: int) -> str:
        """The name of a live number."""
        return self.names[number & self.mask]

    def lives(self, number: int) -> bool:
        """Whether one number still names an item."""
        return number > 0 and int(self.numbers[number & self.mask]) == number

    def live(self, numbers: Numbers) -> NDArray[np.bool_]:
        """Which of ``numbers`` still name an item; 0 does not."""
        alive: NDArray[np.bool_] = (self.numbers[numbers & self.mask] == numbers) & (numbers > 0)
        return alive

    def admit(self, name: str, use: float) -> int:
        """The item's number, given out if it is new, with ``use`` added to its use."""
        number = self.index.get(name, 0)
        if not number:
            number = self._give(name)
        self.use[number & self.mask] += use
        return number

    def known(self, names: Names) -> Numbers:
        """Live numbers by code, int32 ``[at least all codes]``; 0 where to ask for the name.

        Whoever asks for a name by code notes its number here.
        """
        if self._names is not names:
            self._names, self._known = names, np.zeros(0, np.int32)
        self._known = grown(self._known, len(names))
        return self._known

    def found(self, codes: Codes, names: Names) -> Numbers:
        """Numbers of the names of some codes, 0 for strangers; ``[codes]``."""
        known = self.known(names)
        numbers: Numbers = known[codes]
        for at in np.flatnonzero(numbers == 0).tolist():
            code = codes.item(at)
            numbers[at] = known[code] = self.find(names.texts[code])
        return numbers

    def admitted(self, code: int, names: Names, use: float = 0.0) -> int:
        """As `admit`, by code."""
        number = self.admit(names.texts[code], use)
        self.known(names)[code] = number
        return number

    def _give(self, name: str) -> int:
        if self.used < self.capacity:
            slot = self.used
            self.used += 1
            self.names.append(name)
        else:
            if not self._free:
                self._evict()
            slot = self._free.pop()
            self.names[slot] = name
        number = self._next(int(self.numbers[slot]), slot)
        self.numbers[slot] = number
        self.index[name] = number
        return number

    def _next(self, previous: int, slot: int) -> int:
        turn = abs(previous) >> self.bits
        turn = turn % ((1 << 31 - self.bits) - 1) + 1  # never 0, so that no number is 0
        return turn << self.bits | slot

    def _evict(self) -> None:
        """Give up the least used eighth; a freed slot keeps its number, negated."""
        room = max(1, self.capacity // 8)
        least = np.argsort(self.use, kind="stable")[:room]
        for slot in least.tolist():
            del self.index[self.names[slot]]
            self.names[slot] = ""
        self.numbers[least] *= -1
        self.use[least] = 0.0
        self._known[~self.live(self._known)] = 0
        self._free = least[::-1].tolist()
        self.evicted += room

    def scale(self, factor: float) -> None:
        """Multiply all uses, as decay asks for."""
        self.use *= factor

    def state(self) -> State:
        """Everything that :meth:`from_state` needs."""
        return {
            "capacity": self.capacity,
            "evicted": self.evicted,
            "names": list(self.names),
            "numbers": self.numbers[: self.used].copy(),
            "use": self.use[: self.used].copy(),
            "free": np.array(self._free, np.int32),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Vocabulary:
        """The vocabulary that gave ``state``, to the bit."""
        self = cls(int(state["capacity"]))
        self.evicted = int(state["evicted"])
        self.names = list(state["names"])
        self.used = len(self.names)
        self.numbers[: self.used] = state["numbers"]
        self.use[: self.used] = state["use"]
        self._free = [int(slot) for slot in state["free"]]
        numbered = zip(self.names, self.numbers.tolist(), strict=False)
        self.index = {name: number for name, number in numbered if number > 0}
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.base.changes`."""
        used = self.used
        renumbered = changes.into("numbers", self.numbers, used).tolist()
        changes.into("use", self.use, used)
        renamed = list(changes.texts("names", used))
        for slot, _ in renamed:
            old = self.names[slot] if slot < used else ""
            if old in self.index and self.index[old] & self.mask == slot:
                del self.index[old]
        for slot, name in renamed:
            if slot < len(self.names):
                self.names[slot] = name
            else:
                self.names.append(name)
        for slot in {*renumbered, *(slot for slot, _ in renamed)}:
            number = int(self.numbers[slot])
            if number > 0:
                self.index[self.names[slot]] = number
        self.used = len(self.names)
        self.evicted = changes.value("evicted", self.evicted)
        self._free = changes.value("free", np.array(self._free, np.int32)).tolist()
        self._names = None


def numbers_of(vocabulary: Vocabulary, names: Iterable[str]) -> Numbers:
    """Numbers of those names that are known, in their order."""
    found = [vocabulary.find(name) for name in names]
    return np.array([number for number in found if number], np.int32)


def best_slots(weights: NDArray[np.floating], k: int) -> NDArray[np.intp]:
    """Indices of all positive weights that reach the ``k``-th largest, ties included."""
    if not len(weights) or k < 1:
        return np.zeros(0, np.intp)
    least = np.partition(weights, -k)[-k] if k < len(weights) else weights.min()
    return np.flatnonzero((weights >= least) & (weights > 0))

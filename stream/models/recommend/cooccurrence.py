"""Which items go together: decayed pair counts of sessions or of baskets, in bounded memory.

Rules: a session counts a pair once, when its later item arrives; a basket counts each of its
pairs once. Counts halve every half-life of event time. What follows what is counted beside it,
weighted by 1/distance (in different items). Reading changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.kernel import kernel
from stream.models.base.names import Names
from stream.models.base.state import State, nested, part_of
from stream.models.base.vocabulary import Numbers, Vocabulary
from stream.models.recommend.decay import Decay
from stream.models.recommend.pairs import Floats, PairTable, find
from stream.models.recommend.steps import Steps, TimedStep

TINY: Final = 1e-300  # divides where there is no support

SessionStep = tuple[Sequence[str], str, int]
"""Previous items of the session (newest last), the new item, its time in ms."""

STEP, PLACE, DISTANCE, PAIRS, STRANGER = range(5)  # of `Paired.cursor`


class Paired(NamedTuple):
    """Steps as pairs, as far as they are paired.

    Attributes
    ----------
    cursor
        int64 ``[5]``: the step, how many of its previous items are done, -1 for not even its own;
        at which distance the last of them was; pairs so far; whether the item was a stranger.
    total
        float64 ``[1]``: weight of all sessions.
    weights, counts, numbers
        float64, float64, int32 ``[steps]``: each step's weight, what it adds to its item's use, and
        the item's number.
    before, items, together, after
        int32, int32, float64, float64 ``[at least all pairs]``: items that came before, and those
        that came; what that adds to both weights.
    """

    cursor: NDArray[np.int64]
    total: NDArray[np.float64]
    weights: NDArray[np.float64]
    counts: NDArray[np.float64]
    numbers: Numbers
    before: Numbers
    items: Numbers
    together: NDArray[np.float64]
    after: NDArray[np.float64]


def paired_room(steps: Steps, window: int) -> Paired:
    """Room for the pairs of steps that look back so far."""
    count = len(steps.items)
    most = min(len(steps.previous), window * count)
    return Paired(
        np.array([0, -1, 0, 0, 0]),
        np.zeros(1),
        np.zeros(count),
        np.zeros(count),
        np.zeros(count, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most, np.int32),
        np.zeros(most),
        np.zeros(most),
    )


@kernel
def pair(
    steps: Any,
    known: Numbers,
    use: NDArray[np.float64],
    mask: int,
    rules: Any,
    room: Any,
) -> int:
    """Pair each step's item with the previous ones, the newest first; 0, or a stranger's code.

    Parameters
    ----------
    steps
        Items, starts and previous items, as of `Steps`.
    known
        int32 ``[codes]``: numbers of those that are no strangers.
    use, mask
        Of the vocabulary.
    rules
        The step before which to end, the window, and whether visits are paired instead of items.
    room
        Of `Paired`; to go on, call again.
    """
    items, starts, previous = steps
    last, window, repeats = rules
    cursor, total, weights, counts, numbers, before, paired, together, after = room
    while cursor[STEP] < last:
        step = cursor[STEP]
        first, end = starts[step], starts[step + 1]
        if cursor[PLACE] < 0:
            number = known[items[step]]
            if number == 0:
                return int(items[step])
            met = not repeats and cursor[STRANGER] == 0
            again = met and find(items[step], previous[first:end], end - first) >= 0
            numbers[step], counts[step] = number, 0.0 if again else weights[step]
            use[number & mask] += counts[step]
            total[0] += weights[step] if first == end else 0.0
            cursor[STRANGER] = cursor[PLACE] = cursor[DISTANCE] = 0
        while cursor[PLACE] < min(window, end - first):
            at = end - 1 - cursor[PLACE]
            newer = previous[at + 1 : end]
            if repeats or find(previous[at], newer, len(newer)) < 0:
                number = known[previous[at]]
                if number == 0:
                    return int(previous[at])
                cursor[DISTANCE] += 1
                own = number == numbers[step] and not repeats
                place = cursor[PAIRS]
                before[place], paired[place] = number, numbers[step]
                together[place] = 0.0 if own else counts[step]
                after[place] = weights[step] / cursor[DISTANCE]
                cursor[PAIRS] += 1
            cursor[PLACE] += 1
        cursor[STEP], cursor[PLACE] = step + 1, -1
    return 0


class CoOccurrence:
    """Decayed support of items and pairs, with top neighbours, confidence and lift.

    Parameters
    ----------
    items
        Items held at once; the least supported eighth is evicted when they are all taken.
    neighbours
        Pairs kept per item when its row is full (it holds half as many more in between).
    half_life
        Seconds of event time after which a count weighs half; ``math.inf`` never forgets.
    window
        Steps back in a session that still pair with its new item.
    basket
        Lines of a basket that are paired; the ones after them are left out and counted.
    repeats
        Count each pair of visits instead of each pair of items once a session: an item seen
        twice then counts twice, and goes with itself.
    floor
        Decayed number of common sessions below which no lift is stated.

    Examples
    --------
    >>> pairs = CoOccurrence(items=100, neighbours=8)
    >>> pairs.learn([], "tea", 0)
    >>> pairs.learn(["tea"], "milk", 1_000)
    >>> pairs.learn_basket(["tea", "milk", "soap"], 2_000)
    >>> pairs.neighbours("tea", 2)
    [('milk', 1.0), ('soap', 0.5)]
    >>> pairs.support("tea"), pairs.pair("tea", "soap"), pairs.confidence("soap", "milk")
    (2.0, 1.0, 1.0)
    """

    def __init__(
        self,
        items: int = 32_768,
        neighbours: int = 64,
        half_life: float = math.inf,
        window: int = 10,
        basket: int = 100,
        floor: float = 5.0,
        repeats: bool = False,
    ) -> None:
        self.vocabulary = Vocabulary(items)
        self.pairs = PairTable(self.vocabulary, neighbours)
        self.decay = Decay(half_life)
        self.window = window
        self.basket = basket
        self.floor = floor
        self.repeats = repeats
        self.total = 0.0
        self.lines_left_out = 0

    # -- learning -------------------------------------------------------------------------

    def learn(self, previous: Sequence[str], item: str, time: int) -> None:
        """Learn one session step; :meth:`learn_many` is several times faster per step."""
        self.learn_many([(previous, item, time)])

    def learn_many(self, steps: Iterable[SessionStep]) -> None:
        """Learn session steps, in order; a session's first item comes with no previous ones."""
        names = Names()
        self.learn_steps(Steps.of([TimedStep(0, *step) for step in steps], names), names)

    def learn_steps(self, steps: Steps, names: Names) -> None:
        """As `learn_many`, of columns."""
        learned, room = 0, paired_room(steps, self.window)
        while learned < len(steps.items):
            self._shift(steps.times.item(learned))
            weights = self.decay.weights(steps.times[learned:])
            room.weights[learned : learned + len(weights)] = weights
            learned += len(weights)
            self._pair(steps, names, learned, room)
        count = room.cursor.item(PAIRS)
        before, items = room.before[:count], room.items[:count]
        self._write(before, items, room.together[:count], room.after[:count])

    def _pair(self, steps: Steps, names: Names, last: int, room: Paired) -> None:
        """Pair steps up to the ``last``, admitting strangers where they come."""
        rules, numbering = (last, self.window, self.repeats), self.vocabulary.numbering
        given = steps.items, steps.starts, steps.previous
        room.total[0] = self.total
        while True:
            known = self.vocabulary.known(names)
            code = int(pair(given, known, numbering.use, numbering.mask, rules, tuple(room)))
            if not code:
                break
            number = self.vocabulary.find(names.texts[code])
            if not number:
                place = room.cursor[PLACE]
                use = 0.0 if place < 0 else room.weights.item(room.cursor[STEP])
                number = self.vocabulary.admit(names.texts[code], use)
                room.cursor[STRANGER] = place < 0
            self.vocabulary.known(names)[code] = number
        self.total = room.total.item(0)

    def learn_basket(self, items: Sequence[str], time: int) -> None:
        """Learn what was bought together at ``time`` (ms)."""
        weight = self._weight(time)
        lines = list(dict.fromkeys(items))
        self.lines_left_out += max(0, len(lines) - self.basket)
        numbers = [self.vocabulary.admit(item, weight) for item in lines[: self.basket]]
        self.total += weight
        first, second = np.triu_indices(len(numbers), 1)
        known = np.array(numbers, np.int32)
        counts = np.full(len(first), weight)
        self._write(known[first], known[second], counts, np.zeros(len(first)))

    def _weight(self, time: int) -> float:
        self._shift(time)
        return self.decay.weight(time)

    def _shift(self, time: int) -> None:
        factor = self.decay.shift(time)
        if factor != 1.0:
            self.vocabulary.scale(factor)
            self.pairs.scale(factor)
            self.total *= factor

    def _write(
        self,
        rows: Numbers,
        others: Numbers,
        together: NDArray[np.float64],
        after: NDArray[np.float64],
    ) -> None:
        """Write pairs both ways; what followed stands in the row of what went before."""
        self.pairs.add(
            np.concatenate((rows, others)),
            np.concatenate((others, rows)),
            np.concatenate((together, together)),
            np.concatenate((after, np.zeros(len(after)))),
        )

    # -- reading --------------------------------------------------------------------------

    def neighbours(self, item: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` items most often together with ``item``, with confidence(item → other)."""
        return self._best(item, self.pairs.together, math.inf if self.repeats else 1.0, k)

    def successors(self, item: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` items that follow ``item`` most, with their 1/distance weight per support."""
        return self._best(item, self.pairs.after, math.inf, k)

    def _best(self, item: str, weights: Floats, most: float, k: int) -> list[tuple[str, float]]:
        number = self.vocabulary.find(item)
        if not number or k < 1:
            return []
        support = max(self._use(item), TINY)
        numbers, shares = self.pairs.best(number, weights, support, most, k)
        names = map(self.vocabulary.name, numbers)
        ranked = sorted(zip(names, shares, strict=True), key=lambda pair: (-pair[1], pair[0]))
        return ranked[:k]

    def support(self, item: str) -> float:
        """Decayed number of sessions (or baskets) with the item, as of the latest event."""
        return self._use(item) / self.decay.now

    def pair(self, a: str, b: str) -> float:
        """Decayed number of sessions (or baskets) with both."""
        together, _ = self.pairs.cell(self.vocabulary.find(a), self.vocabulary.find(b))
        return together / self.decay.now

    def confidence(self, a: str, b: str) -> float:
        """Share of the sessions with ``a`` that have ``b`` too, 0 to 1."""
        support = self.support(a)
        return min(1.0, self.pair(a, b) / support) if support > 0 else 0.0

    def lift(self, a: str, b: str) -> float | None:
        """How many times more often together than by chance; None below the support floor."""
        pair = self.pair(a, b)
        if pair < self.floor:
            return None
        sessions = self.total / self.decay.now
        return pair * sessions / (self.support(a) * self.support(b))

    def _use(self, item: str) -> float:
        number = self.vocabulary.find(item)
        return float(self.vocabulary.use[number & self.vocabulary.mask]) if number else 0.0

    @property
    def evicted(self) -> int:
        """Items evicted so far to stay within ``items``."""
        return self.vocabulary.evicted

    # -- state ----------------------------------------------------------------------------

    def state(self) -> State:
        """Flat, plain state: numbers, text lists and arrays."""
        return {
            "window": self.window,
            "basket": self.basket,
            "floor": self.floor,
            "repeats": int(self.repeats),
            "total": self.total,
            "lines_left_out": self.lines_left_out,
            **nested("vocabulary", self.vocabulary.state()),
            **nested("pairs", self.pairs.state()),
            **nested("decay", self.decay.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> CoOccurrence:
        """The estimator that gave ``state``, to the bit."""
        vocabulary = Vocabulary.from_state(part_of(state, "vocabulary"))
        self = cls(
            items=1,
            window=int(state["window"]),
            basket=int(state["basket"]),
            floor=float(state["floor"]),
            repeats=bool(state["repeats"]),
        )
        self.vocabulary = vocabulary
        self.pairs = PairTable.from_state(vocabulary, part_of(state, "pairs"))
        self.decay = Decay.from_state(part_of(state, "decay"))
        self.total = float(state["total"])
        self.lines_left_out = int(state["lines_left_out"])
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.base.changes`."""
        used = self.vocabulary.used
        self.vocabulary.patch(changes.part("vocabulary"))
        self.pairs.patch(changes.part("pairs"), used)
        self.decay = self.decay.patched(changes.part("decay"))
        self.total = changes.value("total", self.total)
        self.lines_left_out = changes.value("lines_left_out", self.lines_left_out)

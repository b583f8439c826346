"""Taste: items as short vectors, so that what was never seen together can still be told apart.

Rules: an item has a vector for being looked at and one for coming next; what a session's items say
together of a candidate is one product. Learned from steps by the order of the item that came and of
others that came lately (implicit matrix factorisation, BPR). Numbers and slots are those of one
vocabulary; the vectors of an item that is new to its slot are drawn from its number, so nothing is
random. Reading changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.changes import Changes
from stream.models.base.hashing import mix
from stream.models.base.kernel import kernel
from stream.models.base.state import State
from stream.models.base.vocabulary import Numbers, Vocabulary

Floats = NDArray[np.float32]
Slots = NDArray[np.integer]

BY_SLOT: Final = ("owner", "seen", "next", "bias")
START: Final = 0.1  # vectors begin within this of zero

Move = tuple[Sequence[int], int]
"""Distinct numbers of the session's items, newest first, and the number that came."""


class Vectors(NamedTuple):
    """Factors as kernels see them.

    Attributes
    ----------
    seen, next, bias
        float32 ``[capacity, size]``, the same, ``[capacity]``: of each slot's item.
    shares
        float32 ``[reach + 1, reach]``: how much each of so many items counts, newest first.
    """

    seen: Floats
    next: Floats
    bias: Floats
    shares: Floats


@kernel
def tasted(current: Slots, vectors: Vectors, taste: NDArray[np.float64]) -> None:
    """What a session's items say together, into ``taste``.

    Parameters
    ----------
    current
        int ``[items]``: slots, newest first.
    taste
        float64 ``[size]``.
    """
    count = min(len(current), vectors.shares.shape[1])
    taste[:] = 0.0
    for back in range(count):
        share = np.float64(vectors.shares[count, back])
        for at in range(len(taste)):
            taste[at] += share * np.float64(vectors.seen[current[back], at])


@kernel
def suits(slot: int, vectors: Vectors, taste: NDArray[np.float64]) -> float:
    """How much an item is to a taste, float64 ``[size]``."""
    score = np.float64(vectors.bias[slot])
    for at in range(len(taste)):
        score += np.float64(vectors.next[slot, at]) * taste[at]
    return score


class Factors:
    """Vectors of items.

    Parameters
    ----------
    vocabulary
        Whose numbers the items are.
    size
        Length of a vector.
    rate, shrink
        Step of the gradient, and the share by which a vector is pulled to zero at each.
    rivals
        Other items that each step is compared with.
    reach, position
        Newest items of a session that count, and the factor per step back.
    lately
        Items that came, of which rivals are drawn: those that came often are drawn often.

    References
    ----------
    Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR: Bayesian personalized ranking from implicit
    feedback. UAI 2009.

    Examples
    --------
    >>> vocabulary = Vocabulary(8)
    >>> tea, milk, soap = (vocabulary.admit(name, 1.0) for name in ("tea", "milk", "soap"))
    >>> factors = Factors(vocabulary, lately=8)
    >>> for _ in range(200):
    ...     factors.learn_many([([tea], milk), ([soap], soap)], [milk, soap])
    >>> milky, soapy = factors.scores([tea], np.array([milk, soap]) & vocabulary.mask)
    >>> bool(milky > soapy)
    True
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        size: int = 16,
        rate: float = 0.05,
        shrink: float = 0.001,
        rivals: int = 4,
        reach: int = 8,
        position: float = 0.6,
        lately: int = 16_384,
    ) -> None:
        self.vocabulary = vocabulary
        self.size, self.rate, self.shrink, self.rivals = size, rate, shrink, rivals
        self.reach, self.position = reach, position
        shape = (vocabulary.capacity, size)
        self.owner: Numbers = np.zeros(vocabulary.capacity, np.int32)
        self.seen: Floats = np.zeros(shape, np.float32)
        self.next: Floats = np.zeros(shape, np.float32)
        self.bias: Floats = np.zeros(vocabulary.capacity, np.float32)
        self.lately: Numbers = np.zeros(lately, np.int32)
        self.came = 0
        self.drawn = 0
        self._weights: Floats = (position ** np.arange(reach)).astype(np.float32)
        shares = np.tril(np.tile(self._weights, (reach + 1, 1)), -1)
        shares[1:] /= shares[1:].sum(axis=1, keepdims=True)
        self.vectors = Vectors(self.seen, self.next, self.bias, shares)

    def scores(self, current: Sequence[int], slots: Slots) -> NDArray[np.float32]:
        """How much these items (``[candidates]``) are to the taste of a session, newest first."""
        taste = np.zeros(self.size)
        tasted(np.array(current, np.int32) & self.vocabulary.mask, self.vectors, taste)
        scores = [suits(slot, self.vectors, taste) for slot in slots.tolist()]
        return np.array(scores, np.float32)

    def learn_many(self, moves: Sequence[Move], came: Sequence[int]) -> None:
        """Learn steps, all from what was known before them; ``came`` are all items that came."""
        numbers = np.array(came, np.int32)[-len(self.lately) :]
        self._claim(numbers)
        self.lately[(self.came + np.arange(len(numbers))) % len(self.lately)] = numbers
        self.came += len(numbers)
        if moves:
            self._learn(moves)

    def _learn(self, moves: Sequence[Move]) -> None:
        mask = self.vocabulary.mask
        recent = np.zeros((len(moves), self.reach), np.int32)
        for row, (items, _) in enumerate(moves):
            recent[row, : min(len(items), self.reach)] = items[: self.reach]
        self._claim(recent[recent > 0])
        weights = np.where(recent > 0, self._weights, np.float32(0.0))
        weights /= weights.sum(axis=1, keepdims=True)
        before, chosen = recent & mask, np.array([item for _, item in moves], np.int32)
        taste = np.einsum("bk,bkd->bd", weights, self.seen[before])
        at = np.tile(chosen & mask, self.rivals)
        tastes = np.tile(taste, (self.rivals, 1))
        rivals = self._drawn(len(at))
        other = rivals & mask
        apart = self.next[at] - self.next[other]
        wins = (tastes * apart).sum(axis=1) + self.bias[at] - self.bias[other]
        wrong = self.rate / (1.0 + np.exp(wins))
        wrong[(at == other) | ~self.vocabulary.live(rivals)] = 0.0
        push = wrong[:, None] * tastes
        pulled = wrong[:, None] * apart
        pull = pulled.reshape(self.rivals, len(moves), self.size).sum(axis=0)
        np.add.at(self.next, at, push - self.rate * self.shrink * self.next[at])
        np.add.at(self.next, other, -push)
        np.add.at(self.bias, at, wrong)
        np.add.at(self.bias, other, -wrong)
        moved = weights[:, :, None] * (pull[:, None, :] - self.rate * self.shrink * taste[:, None])
        np.add.at(self.seen, before.ravel(), moved.reshape(-1, self.size))

    def _drawn(self, count: int) -> Numbers:
        """Items that came lately; the draw is a hash of how many were drawn before."""
        at = mix((np.arange(count) + self.drawn).astype(np.uint32))
        self.drawn += count
        rivals: Numbers = self.lately[at % np.uint32(min(self.came, len(self.lately)))]
        return rivals

    def _claim(self, numbers: Numbers) -> None:
        """Give new vectors to items whose slot held another."""
        slots = numbers & self.vocabulary.mask
        new = numbers[self.owner[slots] != numbers]
        if not len(new):
            return
        slots = new & self.vocabulary.mask
        self.owner[slots] = new
        self.bias[slots] = 0.0
        places = new.astype(np.uint32)[:, None] * np.uint32(2 * self.size)
        drawn = mix(places + np.arange(2 * self.size, dtype=np.uint32)) / np.float32(2**32)
        vectors = ((2.0 * drawn - 1.0) * START).astype(np.float32)
        self.seen[slots], self.next[slots] = vectors[:, : self.size], vectors[:, self.size :]

    def state(self) -> State:
        """Everything that :meth:`from_state` needs beside the vocabulary."""
        used = self.vocabulary.used
        return {
            "size": self.size,
            "rate": self.rate,
            "shrink": self.shrink,
            "rivals": self.rivals,
            "reach": self.reach,
            "position": self.position,
            "came": self.came,
            "drawn": self.drawn,
            "lately": self.lately.copy(),
            **{name: getattr(self, name)[:used].copy() for name in BY_SLOT},
        }

    @classmethod
    def from_state(cls, vocabulary: Vocabulary, state: Mapping[str, Any]) -> Factors:
        """The factors that gave ``state``, to the bit."""
        self = cls(
            vocabulary,
            int(state["size"]),
            float(state["rate"]),
            float(state["shrink"]),
            int(state["rivals"]),
            int(state["reach"]),
            float(state["position"]),
            len(state["lately"]),
        )
        self.came, self.drawn = int(state["came"]), int(state["drawn"])
        self.lately[:] = state["lately"]
        for name in BY_SLOT:
            getattr(self, name)[: vocabulary.used] = state[name]
        return self

    def patch(self, changes: Changes, used: int) -> None:
        """Take over what changed, in place; ``used`` slots of the vocabulary were in use before."""
        for name in BY_SLOT:
            changes.into(name, getattr(self, name), used)
        changes.into("lately", self.lately, len(self.lately))
        self.came = changes.value("came", self.came)
        self.drawn = changes.value("drawn", self.drawn)

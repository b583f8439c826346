"""Content similarity: which items are described alike, for items that nobody has looked at yet.

Rules: a description is words of the catalog's text; each word falls into one of a fixed number of
buckets by CRC-32, weighed by tf-idf with the counts of what is described now. An item keeps its
first words only, a bucket the newest items that have it, so memory is fixed. Learning an item again
replaces what was known of it. Reading changes nothing but scratch memory.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream.models.base.hashing import feature_hash
from stream.models.base.kernel import kernel
from stream.models.base.state import State, nested, part_of
from stream.models.base.vocabulary import Numbers, Vocabulary

WORD: Final = re.compile(r"[^\W_]+")


class Index(NamedTuple):
    """Descriptions as kernels see them, the arrays of a `Content`.

    Attributes
    ----------
    owner
        int32 ``[items]``: the number of the item that each slot describes.
    terms, counts
        int32 and float32 ``[items, words]``: its buckets, -1 for none, and their weights.
    frequency, written
        int64 ``[buckets]``: items that have a bucket, and how many were put to it so far.
    found
        int32 ``[buckets, postings]``: the numbers of the newest of these.
    """

    owner: Numbers
    terms: NDArray[np.int32]
    counts: NDArray[np.float32]
    frequency: NDArray[np.int64]
    written: NDArray[np.int64]
    found: Numbers


@kernel
def describe(
    index: Index, number: int, slot: int, buckets: NDArray[np.int32], said: NDArray[np.int32]
) -> None:
    """Replace what is known of an item by these buckets, each once, and how often each was said."""
    terms, size = index.terms[slot], len(buckets)
    known = 0
    while known < len(terms) and terms[known] >= 0:
        known += 1
    same = index.owner[slot] == number and known == size
    for at in range(size):
        index.counts[slot, at] = 1.0 + math.log(said[at])
        same = same and terms[at] == buckets[at]
    if same:
        return
    index.owner[slot] = number
    for at in range(known):
        index.frequency[terms[at]] -= 1
    terms[:] = -1
    for at in range(size):
        terms[at] = buckets[at]
        index.frequency[buckets[at]] += 1
        post(index.found[buckets[at]], index.written, buckets[at], number)


@kernel
def post(held: Numbers, written: NDArray[np.int64], bucket: int, number: int) -> None:
    """Put a number among those of a bucket, in the place of the oldest, unless it is there."""
    for at in range(len(held)):
        if held[at] == number:
            return
    held[written[bucket] % len(held)] = number
    written[bucket] += 1


@lru_cache(maxsize=1 << 14)
def word_hash(word: str) -> int:
    """The hash of a word; most words of a catalog are few."""
    return feature_hash("word", word)


class Content:
    """Items by the words that describe them.

    Parameters
    ----------
    items
        Items held at once; the ones learned longest ago give way.
    buckets
        Of the hashed words; two words rarely share one of 2**16.
    words
        Of an item, the first, that are kept.
    postings
        Newest items found by one word.

    References
    ----------
    Salton, Buckley: Term-weighting approaches in automatic text retrieval. 1988. Weinberger et
    al.: Feature hashing for large scale multitask learning. ICML 2009.

    Examples
    --------
    >>> content = Content(items=10)
    >>> content.learn("a", "Green tea, loose leaves")
    >>> content.learn("b", "Black tea in bags")
    >>> content.learn("c", "Soap")
    >>> [item for item, _ in content.similar("a", 2)]
    ['b']
    """

    def __init__(
        self, items: int = 32_768, buckets: int = 1 << 16, words: int = 24, postings: int = 64
    ) -> None:
        self.vocabulary = Vocabulary(items)
        self.buckets, self.words, self.postings = buckets, words, postings
        self.learned = 0
        self.frequency: NDArray[np.int64] = np.zeros(buckets, np.int64)
        self.written: NDArray[np.int64] = np.zeros(buckets, np.int64)
        self.owner: Numbers = np.zeros(items, np.int32)
        self.terms: NDArray[np.int32] = np.full((items, words), -1, np.int32)
        self.counts: NDArray[np.float32] = np.zeros((items, words), np.float32)
        self.found: Numbers = np.zeros((buckets, postings), np.int32)
        self._index = Index(
            self.owner, self.terms, self.counts, self.frequency, self.written, self.found
        )
        self._mine: NDArray[np.float64] = np.zeros(buckets + 1)  # scratch; the last is no word

    def learn(self, item: str, text: str) -> None:
        """Learn an item's description: its name, category, brand, words in any language."""
        said = Counter(word_hash(word) % self.buckets for word in WORD.findall(text.casefold()))
        first = np.array(list(said.items())[: self.words], np.int32).reshape(-1, 2)
        self.learned += 1
        number = self.vocabulary.admit(item, 0.0)
        slot = number & self.vocabulary.mask
        self.vocabulary.use[slot] = self.learned  # the newest descriptions stay
        describe(self._index, number, slot, first[:, 0], first[:, 1])

    def similar(self, item: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` items described most alike, by cosine, 0 to 1; none for an unknown item."""
        number = self.vocabulary.find(item)
        if not number:
            return []
        slot = number & self.vocabulary.mask
        terms = self.terms[slot]
        others = np.unique(self.found[terms[terms >= 0]])
        others = others[self.vocabulary.live(others) & (others != number)]
        slots = others & self.vocabulary.mask
        mine, theirs = self._weights(np.array([slot]))[0], self._weights(slots)
        self._mine[terms] = mine
        shared = (self._mine[self.terms[slots]] * theirs).sum(axis=1)
        self._mine[terms] = 0.0
        norms = np.linalg.norm(theirs, axis=1) * np.linalg.norm(mine)
        cosine = np.minimum(shared / np.maximum(norms, 1e-12), 1.0)
        names = [self.vocabulary.name(other) for other in others.tolist()]
        ranked = sorted(
            zip(names, cosine.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0])
        )
        return [(name, score) for name, score in ranked[:k] if score > 0.0]

    def _weights(self, slots: NDArray[np.integer]) -> NDArray[np.float64]:
        """tf-idf of the kept words, ``[slots, words]``; 0 where there is none."""
        terms = self.terms[slots]
        idf = np.log((len(self.vocabulary) + 1.0) / (self.frequency[terms] + 0.5))
        weights: NDArray[np.float64] = np.where(terms >= 0, self.counts[slots] * idf, 0.0)
        return np.maximum(weights, 0.0)

    @property
    def evicted(self) -> int:
        """Items evicted so far to stay within ``items``."""
        return self.vocabulary.evicted

    def state(self) -> State:
        """Flat, plain state."""
        used = self.vocabulary.used
        filled = np.flatnonzero(self.written)
        return {
            "buckets": self.buckets,
            "words": self.words,
            "postings": self.postings,
            "learned": self.learned,
            "owner": self.owner[:used].copy(),
            "filled": filled,
            "written": self.written[filled].copy(),
            "frequency": self.frequency[filled].copy(),
            "found": self.found[filled].copy(),
            "terms": self.terms[:used].copy(),
            "counts": self.counts[:used].copy(),
            **nested("vocabulary", self.vocabulary.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Content:
        """The estimator that gave ``state``, to the bit."""
        vocabulary = Vocabulary.from_state(part_of(state, "vocabulary"))
        sizes = (int(state[name]) for name in ("buckets", "words", "postings"))
        self = cls(vocabulary.capacity, *sizes)
        self.vocabulary = vocabulary
        self.learned = int(state["learned"])
        self.owner[: vocabulary.used] = state["owner"]
        self.written[state["filled"]] = state["written"]
        self.frequency[state["filled"]] = state["frequency"]
        self.found[state["filled"]] = state["found"]
        self.terms[: vocabulary.used] = state["terms"]
        self.counts[: vocabulary.used] = state["counts"]
        return self

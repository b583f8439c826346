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
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from stream.models.hashing import feature_hash
from stream.models.state import State, nested, part_of
from stream.models.vocabulary import Numbers, Vocabulary

WORD: Final = re.compile(r"[^\W_]+")


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
        self._mine: NDArray[np.float64] = np.zeros(buckets + 1)  # scratch; the last is no word

    def learn(self, item: str, text: str) -> None:
        """Learn an item's description: its name, category, brand, words in any language."""
        said = Counter(
            feature_hash("word", word) % self.buckets for word in WORD.findall(text.casefold())
        )
        buckets = list(said)[: self.words]
        self.learned += 1
        number = self.vocabulary.admit(item, 0.0)
        slot = number & self.vocabulary.mask
        self.vocabulary.use[slot] = self.learned  # the newest descriptions stay
        terms, size = self.terms[slot], len(buckets)
        known = terms[terms >= 0]
        if self.owner[slot] == number and known.tolist() == buckets:
            self.counts[slot, :size] = [1.0 + math.log(said[bucket]) for bucket in buckets]
            return
        self.owner[slot] = number
        self.frequency[known] -= 1
        terms[:] = -1
        terms[:size] = buckets
        self.counts[slot, :size] = [1.0 + math.log(said[bucket]) for bucket in buckets]
        self.frequency[buckets] += 1
        for bucket in buckets:
            held = self.found[bucket]
            if number not in held:
                held[self.written[bucket] % self.postings] = number
                self.written[bucket] += 1

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

"""Content similarity: which items are described alike, for items that nobody has looked at yet.

Rules: a description is words of the catalog's text; each word falls into one of a fixed number of
buckets by CRC-32, weighed by tf-idf with the document counts seen so far. An item keeps its
rarest words only, a bucket the newest items that have it, so memory is fixed. Learning an item
again replaces what was known of it. Reading changes nothing but scratch memory.
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
        Of an item, the rarest, that are kept.
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
        self, items: int = 32_768, buckets: int = 1 << 16, words: int = 16, postings: int = 64
    ) -> None:
        self.vocabulary = Vocabulary(items)
        self.buckets, self.words, self.postings = buckets, words, postings
        self.documents = 0
        self.frequency: NDArray[np.int64] = np.zeros(buckets, np.int64)
        self.terms: NDArray[np.int32] = np.full((items, words), -1, np.int32)
        self.counts: NDArray[np.float32] = np.zeros((items, words), np.float32)
        self.found: Numbers = np.zeros((buckets, postings), np.int32)

    def learn(self, item: str, text: str) -> None:
        """Learn an item's description: its name, category, brand, words in any language."""
        words = Counter(
            feature_hash("word", word) % self.buckets for word in WORD.findall(text.casefold())
        )
        known = self.vocabulary.find(item)
        if known:
            slot = known & self.vocabulary.mask
            old = {int(term) for term in self.terms[slot] if term >= 0}
            if old and old == set(self._rarest(words)):
                return
        self.documents += 1
        number = self.vocabulary.admit(item, 0.0)
        slot = number & self.vocabulary.mask
        self.vocabulary.use[slot] = self.documents  # the newest descriptions stay
        for bucket in words:
            self.frequency[bucket] += 1
        self.terms[slot] = -1
        for place, bucket in enumerate(self._rarest(words)):
            self.terms[slot, place] = bucket
            self.counts[slot, place] = 1.0 + math.log(words[bucket])
            held = self.found[bucket]
            if number not in held:
                at = int(self.frequency[bucket] - 1) % self.postings
                held[at] = number

    def _rarest(self, words: Mapping[int, int]) -> list[int]:
        return sorted(words, key=lambda bucket: (int(self.frequency[bucket]), bucket))[: self.words]

    def similar(self, item: str, k: int) -> list[tuple[str, float]]:
        """The ``k`` items described most alike, by cosine, 0 to 1; none for an unknown item."""
        number = self.vocabulary.find(item)
        if not number:
            return []
        slot = number & self.vocabulary.mask
        terms = self.terms[slot]
        others = np.unique(self.found[terms[terms >= 0]])
        others = others[self.vocabulary.live(others) & (others != number)]
        if not len(others):
            return []
        slots = others & self.vocabulary.mask
        mine = dict(zip(terms.tolist(), self._weights(np.array([slot]))[0].tolist(), strict=True))
        mine.pop(-1, None)
        theirs = self._weights(slots)
        shared = np.vectorize(lambda term: mine.get(term, 0.0), otypes=[float])(self.terms[slots])
        norms = np.linalg.norm(theirs, axis=1) * np.linalg.norm(list(mine.values()))
        cosine = (shared * theirs).sum(axis=1) / np.maximum(norms, 1e-12)
        names = [self.vocabulary.name(other) for other in others.tolist()]
        scored = zip(names, np.minimum(cosine, 1.0).tolist(), strict=True)
        ranked = sorted(scored, key=lambda pair: (-pair[1], pair[0]))
        return [(name, score) for name, score in ranked[:k] if score > 0.0]

    def _weights(self, slots: NDArray[np.integer]) -> NDArray[np.float64]:
        """tf-idf of the kept words, ``[slots, words]``; 0 where there is none."""
        terms = self.terms[slots]
        idf = np.log((self.documents + 1.0) / (self.frequency[terms] + 0.5))
        weights: NDArray[np.float64] = np.where(terms >= 0, self.counts[slots] * idf, 0.0)
        return np.maximum(weights, 0.0)

    @property
    def evicted(self) -> int:
        """Items evicted so far to stay within ``items``."""
        return self.vocabulary.evicted

    def state(self) -> State:
        """Flat, plain state."""
        used = self.vocabulary.used
        filled = np.flatnonzero(self.frequency)
        return {
            "buckets": self.buckets,
            "words": self.words,
            "postings": self.postings,
            "documents": self.documents,
            "filled": filled,
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
        self.documents = int(state["documents"])
        self.frequency[state["filled"]] = state["frequency"]
        self.found[state["filled"]] = state["found"]
        self.terms[: vocabulary.used] = state["terms"]
        self.counts[: vocabulary.used] = state["counts"]
        return self

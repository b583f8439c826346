"""What comes next in a session: pairs, similar sessions and own items, blended by learned weights.

Rules: each step is predicted before it is learned (that is what teaches the blend), a batch of
steps by what was known before the batch. Everything is bounded. The ladder is declared: personal
candidates first; the segment's trend, the overall trend and new items only fill up what these
leave open, and each answer names its source and its rung. Reading changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from stream.models.base.changes import Changes, patched
from stream.models.base.names import Names
from stream.models.base.state import State, nested, part_of
from stream.models.base.vocabulary import Numbers
from stream.models.recommend.blend import Blend
from stream.models.recommend.cooccurrence import CoOccurrence
from stream.models.recommend.factors import Factors
from stream.models.recommend.features import FEATURES, LOOK_BACK, SOURCES
from stream.models.recommend.sessions import SessionIndex
from stream.models.recommend.sources import NOBODY, Pool, Sources, prior
from stream.models.recommend.steps import Steps, TimedStep
from stream.models.recommend.trending import Trending

LADDER: Final = ("personal", "segment", "trending", "new")
SAID_BY: Final = (*SOURCES, "own")


class Ranked(Struct, frozen=True, gc=False):
    """An item recommended.

    Attributes
    ----------
    item
        Its id.
    score
        P(it is next) among the candidates, 0 to 1; 0 on the lower rungs of the ladder.
    source
        What speaks most for it: one of ``similar``, ``next``, ``together``, ``two_step``,
        ``taste``, ``own``, or the rung's name.
    rung
        One of ``LADDER``.
    """

    item: str
    score: float
    source: str
    rung: str


BLOCK = 128  # steps in a row that teach the blend, or do not


class Recommender:
    """Learns sessions step by step and recommends what may come next.

    Parameters
    ----------
    items
        Items held at once.
    neighbours
        Pairs kept per item.
    sessions
        Recent sessions held for similarity.
    half_life
        Seconds of event time after which a pair counts half; ``math.inf`` never forgets.
    trend_half_life
        The same for what is trending.
    segments
        Segments whose trends are kept apart.
    eager
        Steps from which the blend learns each; afterwards it learns from one in ``thin``.
    thin
        See ``eager``: bounds what learning costs. It is one block of steps in so many, as what a
        step is taught by is gathered at less cost for many.

    Examples
    --------
    >>> recommender = Recommender(items=100, sessions=100)
    >>> for n in range(30):
    ...     recommender.learn(TimedStep(n, [], "tea", n))
    ...     recommender.learn(TimedStep(n, ["tea"], "milk", n))
    >>> [ranked] = recommender.recommend(["tea"], k=1, exclude={"tea"})
    >>> ranked.item, ranked.rung
    ('milk', 'personal')
    """

    def __init__(
        self,
        items: int = 131_072,
        neighbours: int = 64,
        sessions: int = 262_144,
        half_life: float = math.inf,
        trend_half_life: float = 86_400.0,
        segments: int = 16,
        eager: int = 65_536,
        thin: int = 8,
    ) -> None:
        self.pairs = CoOccurrence(items, neighbours, half_life)
        self.index = SessionIndex(self.pairs.vocabulary, sessions)
        self.factors = Factors(self.pairs.vocabulary)
        self.trending = Trending(trend_half_life, items, segments)
        self.blend = Blend(prior())
        self.eager, self.thin = eager, thin
        self.steps = 0
        self._sources = Sources(self.pairs, self.index, self.factors)
        self._names = Names()

    def learn(self, step: TimedStep) -> None:
        """Learn one step; :meth:`learn_many` is several times faster per step."""
        self.learn_many([step])

    def learn_many(self, steps: Sequence[TimedStep]) -> None:
        """Learn steps in order; the blend predicts them from what was known before them all."""
        if self._names.many:
            self._names = Names()
        self.learn_steps(Steps.of(steps, self._names), self._names)

    def learn_steps(self, steps: Steps, names: Names) -> None:
        """As `learn_many`, of columns; names that come often are best known by the same codes."""
        vocabulary = self.pairs.vocabulary
        teaching = self._teaching(steps)
        chosen = vocabulary.found(steps.items[teaching], names).tolist()
        for at, number in zip(teaching, chosen, strict=True):
            if number:
                known = vocabulary.found(steps.before(at)[-LOOK_BACK:], names)
                self._sources.teach(known, steps.sessions.item(at), number, self.blend)
        self.pairs.learn_steps(steps, names)
        self.trending.learn_steps(steps, names)
        numbers = vocabulary.found(steps.items, names)
        there = numbers > 0
        came = numbers[there].tolist()
        self.index.learn_many(steps.sessions[there].tolist(), came)
        newest = [vocabulary.found(steps.before(at)[::-1], names) for at in teaching]
        moves = zip(map(_distinct, newest), numbers[teaching].tolist(), strict=True)
        self.factors.learn_many([(items, item) for items, item in moves if items and item], came)

    def _teaching(self, steps: Steps) -> list[int]:
        """Which steps teach the blend."""
        follow = np.flatnonzero(np.diff(steps.starts))
        numbers = self.steps + 1 + np.arange(len(follow))
        self.steps += len(follow)
        taught = (numbers <= self.eager) | (numbers // BLOCK % self.thin == 0)
        teaching: list[int] = follow[taught].tolist()
        return teaching

    def gather(self, items: Sequence[str], session: int = NOBODY) -> Pool | None:
        """The candidates after these items, with their features; None if no item is known."""
        return self._sources.gather(items, session)

    def scores(self, pool: Pool) -> NDArray[np.floating]:
        """Log-odds of each candidate to be next, ``[candidates]``, up to a constant."""
        return self.blend.scores(pool.features, pool.context, pool.own, pool.said)

    def recommend(
        self,
        items: Sequence[str],
        k: int = 20,
        exclude: Collection[str] = (),
        session: int = NOBODY,
        segment: int | None = None,
        newest: Iterable[str] = (),
    ) -> list[Ranked]:
        """The ``k`` items most likely next, best first.

        Parameters
        ----------
        items
            Of the session so far, newest last; unknown ones are passed over.
        k
            At most this many.
        exclude
            Items not to be recommended.
        session
            The session's number, if it is being learned: it is no neighbour of its own.
        segment
            The customer's, for the ladder's second rung.
        newest
            New items, for its last.
        """
        ranked = self._personal(items, k, exclude, session)
        if len(ranked) < k:
            self._fill(ranked, k, exclude, segment, newest)
        return ranked

    def _personal(
        self, items: Sequence[str], k: int, exclude: Collection[str], session: int
    ) -> list[Ranked]:
        names, shares, sources = self._sources.best(items, session, k, exclude, self.blend)
        said_by = map(SAID_BY.__getitem__, sources)
        return list(map(Ranked, names, shares, said_by, repeat(LADDER[0])))

    def _fill(
        self,
        ranked: list[Ranked],
        k: int,
        exclude: Collection[str],
        segment: int | None,
        newest: Iterable[str],
    ) -> None:
        """Add from the lower rungs of the ladder what the personal one left open."""
        taken = {*exclude, *(one.item for one in ranked)}
        room = k + len(taken)
        rungs = (
            [item for item, _ in self.trending.top(segment, room)] if segment is not None else [],
            [item for item, _ in self.trending.top(None, room)],
            newest,
        )
        for rung, names in zip(LADDER[1:], rungs, strict=True):
            for item in names:
                if len(ranked) >= k:
                    return
                if item not in taken:
                    taken.add(item)
                    ranked.append(Ranked(item, 0.0, rung, rung))

    @property
    def evicted(self) -> dict[str, int]:
        """What had to go to stay within bounds, by kind."""
        return {
            "items": self.pairs.evicted,
            "pairs": self.pairs.pairs.pruned,
            "sessions": self.index.evicted,
            "trending": self.trending.evicted,
        }

    def state(self) -> State:
        """Flat, plain state: numbers, text lists and arrays."""
        return {
            "features": FEATURES,
            "eager": self.eager,
            "thin": self.thin,
            "steps": self.steps,
            **nested("pairs", self.pairs.state()),
            **nested("index", self.index.state()),
            **nested("factors", self.factors.state()),
            **nested("trending", self.trending.state()),
            **nested("blend", self.blend.state()),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Recommender:
        """The recommender that gave ``state``, to the bit."""
        self = cls(items=1, sessions=1, eager=int(state["eager"]), thin=int(state["thin"]))
        self.pairs = CoOccurrence.from_state(part_of(state, "pairs"))
        self.index = SessionIndex.from_state(self.pairs.vocabulary, part_of(state, "index"))
        self.trending = Trending.from_state(part_of(state, "trending"))
        self.blend = Blend.from_state(part_of(state, "blend"))
        self.factors = Factors.from_state(self.pairs.vocabulary, part_of(state, "factors"))
        self.steps = int(state["steps"])
        self._sources = Sources(self.pairs, self.index, self.factors)
        return self

    def patch(self, changes: Changes) -> None:
        """Take over what changed, in place; see `stream.models.base.changes`."""
        used = self.pairs.vocabulary.used
        self.pairs.patch(changes.part("pairs"))
        self.index.patch(changes.part("index"), used)
        self.factors.patch(changes.part("factors"), used)
        self.trending.patch(changes.part("trending"))
        self.blend = Blend.from_state(patched(self.blend.state(), changes.part("blend").entries))
        self.steps = changes.value("steps", self.steps)


def _distinct(numbers: Numbers) -> list[int]:
    """Those numbers that name an item, each once."""
    return list(dict.fromkeys(numbers[numbers > 0].tolist()))

"""Challengers that score a sample of examples in the champion's shadow, live.

Rules
-----
- All score the same examples, each before it learns it, and the champion's own scores of these
  examples are kept beside theirs: so the numbers compare.
- Which examples, is drawn by a hash of their number: a bounded share, the same in every replay. Of
  the first `FULL` it is all of the share, and then a tenth: a comparison takes hundreds of
  examples, and thousands of them a day tell no more.
- River's state cannot be restored bit for bit, so it is in no snapshot: after a restart the
  challengers begin anew, and so does the comparison. Nothing that is published depends on them.
- The decision threshold is the share of positives: above it, an example is likelier than usual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from stream.models.base.hashing import draw, draws
from stream.models.base.metrics import ProbabilityScores, Rolling

if TYPE_CHECKING:
    from stream.models.propensity.challengers import RiverChallenger

CHAMPION = "champion"
FULL: Final = 50_000
DRAWN: Final = 1_024  # at once


class Standing(NamedTuple):
    """How good a model was on the sample's latest examples, before it learned them."""

    name: str
    quality: ProbabilityScores


class Own(Protocol):
    """A challenger of the shop's own, held so that it never raises; see `stream.extending`."""

    @property
    def name(self) -> str:
        """Under which it stands in the comparison."""

    def follow(self, x: Mapping[Any, Any], label: int, /) -> float | None:
        """What it foresaw of an example before it learned it; None, for good, once it failed."""


class Shadow:
    """Champion and challengers on the same sample of examples.

    Parameters
    ----------
    share
        Of the first examples that are in the sample, in [0, 1]; 0 for no challengers.
    seed
        Of the draw, and of challengers that are random.
    window
        Examples that the standings look back on.
    own
        Challengers of the shop's own.

    Attributes
    ----------
    set_aside : list[str]
        The names of those that failed.

    Examples
    --------
    >>> shadow = Shadow(share=1.0, window=64)
    >>> for n in range(100):
    ...     shadow.learn(n, {"brand": "acme" if n % 2 else "other"}, n % 2, 0.5)
    >>> {standing.name: standing.quality.auc for standing in shadow.standings()}["logistic"]
    1.0
    """

    def __init__(
        self, share: float, seed: int = 0, window: int = 2048, own: Sequence[Own] = ()
    ) -> None:
        self.share = share
        self.seed = seed
        self._drawn = 0, 0  # of these numbers it is known which are in the sample
        self._seen: list[int] = []
        self._challengers: Sequence[RiverChallenger] = _fresh(seed) if share > 0.0 else ()
        self._own = list(own) if share > 0.0 else []
        self.set_aside: list[str] = []
        self._rolling = {name: Rolling(window) for name in (CHAMPION, *self._names())}

    def _names(self) -> list[str]:
        return [one.name for one in self._challengers] + [one.name for one in self._own]

    def sees(self, number: int) -> bool:
        """Return whether the example of this number is in the sample."""
        share = self.share if number < FULL else self.share / 10
        return share > 0.0 and draw(self.seed, number) < share

    def seen(self, first: int, count: int) -> list[int]:
        """Return those of so many examples from the ``first`` on that are in the sample."""
        begin, end = self._drawn
        if not begin <= first <= first + count <= end:
            self._drawn = begin, end = first, first + max(count, DRAWN)
            numbers = np.arange(begin, end)
            share = np.where(numbers < FULL, self.share, self.share / 10)
            self._seen = numbers[draws(self.seed, begin, end - begin) < share].tolist()
        return [number for number in self._seen if first <= number < first + count]

    def learn(self, number: int, x: Mapping[Any, Any], label: int, champion: float) -> None:
        """Score an example, then learn it, if it is in the sample.

        Parameters
        ----------
        number
            Of the example, counted since the log began.
        x
            Its features, as river takes them.
        label
            0 or 1.
        champion
            What the champion predicted before it learned it.
        """
        if not self.sees(number):
            return
        self._rolling[CHAMPION].update([champion], [label])
        for challenger in self._challengers:
            self._rolling[challenger.name].update([challenger.predict(x)], [label])
            challenger.learn(x, label)
        for own in tuple(self._own):
            foreseen = own.follow(x, label)
            if foreseen is None:
                self._own.remove(own)
                del self._rolling[own.name]
                self.set_aside.append(own.name)
            else:
                self._rolling[own.name].update([foreseen], [label])

    def standings(self) -> tuple[Standing, ...]:
        """Return where each stands, the champion first; nothing before the first example."""
        if not self._rolling[CHAMPION].events:
            return ()
        base = self._rolling[CHAMPION].quality()
        threshold = base.positives / base.events
        return tuple(
            Standing(name, rolling.quality(threshold)) for name, rolling in self._rolling.items()
        )


def _fresh(seed: int) -> Sequence[RiverChallenger]:
    from stream.models.propensity.challengers import challengers  # river takes its time, and 80 MB

    return challengers(seed)

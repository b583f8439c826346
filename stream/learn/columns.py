"""Examples by kind, as columns: what the learner learns from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from stream.decide import example as one
from stream.decide.example import Basket, Example, Labelled, Trial
from stream.decide.rows.features import PORTRAIT, unpack
from stream.models.base.names import Names
from stream.models.recommend.itemfacts import UNTOLD, EventFacts
from stream.models.recommend.steps import NONE, Steps, TimedStep

Numbers = NDArray[np.int64]


class Labels(NamedTuple):
    """Exposures, and what became of them.

    Attributes
    ----------
    times, labels, segments, waits
        int64 ``[labels]``: in ms; 0 or 1; -1 for no segment; in ms, -1 for a whole label, see
        `Labelled`.
    rows
        uint32 ``[labels, features]``.
    """

    times: Numbers
    labels: Numbers
    segments: Numbers
    waits: Numbers
    rows: NDArray[np.uint32]

    @classmethod
    def of(cls, examples: Sequence[Labelled]) -> Self:
        """Some examples as columns."""
        return cls(
            np.array([e.time for e in examples], np.int64),
            np.array([e.label for e in examples], np.int64),
            np.array([NONE if e.segment is None else e.segment for e in examples], np.int64),
            np.array([NONE if e.waited is None else e.waited for e in examples], np.int64),
            unpack(e.features for e in examples),
        )

    @property
    def parts(self) -> NDArray[np.float64]:
        """Whether each is an exposure (1) or the purchase of one that was told before (0)."""
        return np.where((self.labels == 1) & (self.waits >= 0), 0.0, 1.0)

    def part(self, first: int, last: int) -> Self:
        """Labels ``first`` … ``last - 1``."""
        columns: Any = (column[first:last] for column in self)
        return type(self)(*columns)

    def copied(self) -> Self:
        """The same, in arrays of their own."""
        columns: Any = (column.copy() for column in self)
        return type(self)(*columns)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """All labels of some parts, in their order."""
        columns: Any = (np.concatenate(column) for column in zip(*parts, strict=True))
        return cls(*columns)


class ExampleColumns(NamedTuple):
    """Examples by kind, in their order.

    Attributes
    ----------
    examples
        How many there are.
    newest
        The latest time of any, in ms; 0 if there are none.
    steps, told
        Of session steps, in codes of some `Names`; and what these say of their items.
    labels
        Of labelled examples.
    baskets
        Orders, and before which of the steps each of them came.
    portraits
        float64 ``[portraits, len(PORTRAIT)]``.
    trials
        Words of trials of campaigns' variants.
    """

    examples: int
    newest: int
    steps: Steps
    told: EventFacts
    labels: Labels
    baskets: Sequence[tuple[int, Basket]]
    portraits: NDArray[np.float64]
    trials: Sequence[Trial] = ()

    @classmethod
    def of(cls, examples: Iterable[Example], names: Names) -> Self:
        """Some examples as columns, in codes of ``names``."""
        steps: list[one.SessionStep] = []
        labels: list[Labelled] = []
        baskets: list[tuple[int, Basket]] = []
        portraits: list[tuple[float, ...]] = []
        trials: list[Trial] = []
        newest = count = 0
        for example in examples:
            newest, count = max(newest, example.time), count + 1
            if isinstance(example, one.SessionStep):
                steps.append(example)
            elif isinstance(example, Labelled):
                labels.append(example)
            elif isinstance(example, Basket):
                baskets.append((len(steps), example))
            elif isinstance(example, Trial):
                trials.append(example)
            else:
                portraits.append(example.vector)
        return cls(
            count,
            newest,
            Steps.of(
                [TimedStep(s.session, s.previous, s.item, s.time, s.segment) for s in steps], names
            ),
            _told(steps, names),
            Labels.of(labels),
            baskets,
            np.array(portraits, np.float64).reshape(-1, len(PORTRAIT)),
            trials,
        )


def _told(steps: Sequence[one.SessionStep], names: Names) -> EventFacts:
    return EventFacts(
        names.codes(step.item for step in steps),
        names.codes(step.category for step in steps),
        names.codes(step.brand for step in steps),
        np.array([UNTOLD if step.price is None else step.price for step in steps], np.int64),
    )

"""What waits until a step is full: models learn in steps of a fixed number of examples.

A step that nobody fills is learned as it is when the log of examples says so; see `Learner.settle`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from stream.decide.rows.features import FEATURES
from stream.learn.columns import Labels
from stream.models.base.names import Names
from stream.models.base.state import State, StateError, StateValue, array, integer
from stream.models.recommend.steps import NONE, Steps, TimedStep


class LabelQueue:
    """Labelled examples."""

    def __init__(self) -> None:
        self.waiting = Labels.of([])

    def __len__(self) -> int:
        return len(self.waiting.times)

    def put(self, labels: Labels, size: int) -> list[Labels]:
        """Add labels at the end; returns those steps of ``size`` that are full."""
        ends = _ends(len(self), len(labels.times), size)
        labels = Labels.joined([self.waiting, labels])
        steps = [labels.part(*step) for step in zip([0, *ends], ends, strict=False)]
        self.waiting = labels.part(ends[-1] if ends else 0, len(labels.times)).copied()
        return steps

    def take(self) -> Labels:
        """All that waits, which waits no longer."""
        waiting, self.waiting = self.waiting, Labels.of([])
        return waiting

    def state(self) -> State:
        """Everything that waits, as arrays."""
        return {
            "rows": self.waiting.rows.copy(),
            "times": self.waiting.times.copy(),
            "labels": self.waiting.labels.astype(np.int8),
            "segments": self.waiting.segments.astype(np.int32),
            "waits": self.waiting.waits.copy(),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> LabelQueue:
        """The queue that ``state`` was taken from."""
        times = state.get("times")
        size = len(times) if isinstance(times, np.ndarray) else 0
        queue = cls()
        queue.waiting = Labels(
            array(state, "times", np.int64, (size,)),
            array(state, "labels", np.int8, (size,)).astype(np.int64),
            array(state, "segments", np.int32, (size,)).astype(np.int64),
            array(state, "waits", np.int64, (size,)) if "waits" in state else _whole(size),
            array(state, "rows", np.uint32, (size, len(FEATURES))),
        )
        return queue


class StepQueue:
    """Session steps.

    Attributes
    ----------
    names
        In whose codes the steps are.
    settled : int
        Examples that had been learned when what waited was last taken before a step was full.
    """

    def __init__(self) -> None:
        self.names = Names()
        self.waiting = Steps.of([], self.names)
        self.settled = 0

    def __len__(self) -> int:
        return len(self.waiting.items)

    def put(self, steps: Steps, size: int) -> list[Steps]:
        """Add steps at the end; returns what makes up ``size`` of them, each time it does."""
        ends = _ends(len(self), len(steps.items), size)
        steps = Steps.joined([self.waiting, steps])
        full = [steps.part(*step) for step in zip([0, *ends], ends, strict=False)]
        self.waiting = steps.part(ends[-1] if ends else 0, len(steps.items)).copied()
        return full

    def take(self) -> Steps:
        """All that waits, which waits no longer."""
        waiting, self.waiting = self.waiting, self.waiting.part(0, 0)
        return waiting

    def name_anew(self) -> None:
        """Forget all names but those of what waits."""
        told, self.names = self.waiting.told(self.names), Names()
        self.waiting = Steps.of(told, self.names)

    def state(self) -> State:
        """Everything that waits."""
        return {
            "settled": self.settled,
            "steps": [
                [step.session, _code(step.segment), step.time, step.item, *step.previous]
                for step in self.waiting.told(self.names)
            ],
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> StepQueue:
        """The queue that ``state`` was taken from."""
        steps = state.get("steps")
        if not isinstance(steps, list):
            raise StateError("steps: not a list")
        queue = cls()
        queue.settled = integer(state, "settled", 0, 2**62)
        told = [
            TimedStep(session, previous, item, time, None if segment < 0 else segment)
            for session, segment, time, item, *previous in steps
        ]
        queue.waiting = Steps.of(told, queue.names)
        return queue


def _whole(size: int) -> NDArray[np.int64]:
    """What labels waited in a snapshot of before: all were whole."""
    return np.full(size, NONE, np.int64)


def _ends(waiting: int, new: int, size: int) -> list[int]:
    """Where steps end, of ``new`` examples behind others: each as soon as it has ``size``."""
    return list(range(max(size, waiting + 1), waiting + new + 1, size))


def _code(segment: int | None) -> int:
    return NONE if segment is None else segment

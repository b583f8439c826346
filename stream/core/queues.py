"""What waits until a step is full: models learn in steps of a fixed number of examples.

A step that nobody fills is learned as it is when the log of examples says so; see `Learner.settle`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stream.core.example import Labelled, Step
from stream.core.features import FEATURES, unpack
from stream.models import recommender
from stream.models.state import State, StateError, StateValue, array, integer


class LabelQueue:
    """Labelled examples."""

    def __init__(self) -> None:
        self.waiting: list[Labelled] = []

    def state(self) -> State:
        """Everything that waits, as arrays."""
        rows = [unpack(example.features) for example in self.waiting]
        return {
            "rows": np.array(rows, dtype=np.uint32).reshape(-1, len(FEATURES)),
            "times": np.array([e.time for e in self.waiting], dtype=np.int64),
            "labels": np.array([e.label for e in self.waiting], dtype=np.int8),
            "segments": np.array([_code(e.segment) for e in self.waiting], dtype=np.int32),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> LabelQueue:
        """The queue that ``state`` was taken from."""
        times = state.get("times")
        size = len(times) if isinstance(times, np.ndarray) else 0
        rows = array(state, "rows", np.uint32, (size, len(FEATURES)))
        columns = (
            array(state, "times", np.int64, (size,)).tolist(),
            array(state, "labels", np.int8, (size,)).tolist(),
            array(state, "segments", np.int32, (size,)).tolist(),
        )
        queue = cls()
        queue.waiting = [
            Labelled(time, label, None if segment < 0 else segment, row.tobytes())
            for time, label, segment, row in zip(*columns, rows, strict=True)
        ]
        return queue


class StepQueue:
    """Session steps.

    Attributes
    ----------
    settled : int
        Examples that had been learned when what waited was last taken before a step was full.
    """

    def __init__(self) -> None:
        self.waiting: list[recommender.Step] = []
        self.settled = 0

    def put(self, step: Step) -> None:
        """Add a step at the end."""
        self.waiting.append(taught(step))

    def state(self) -> State:
        """Everything that waits."""
        return {
            "settled": self.settled,
            "steps": [
                [step.session, _code(step.segment), step.time, step.item, *step.previous]
                for step in self.waiting
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
        for session, segment, time, item, *previous in steps:
            known = None if segment < 0 else segment
            queue.waiting.append(recommender.Step(session, previous, item, time, known))
        return queue


def taught(step: Step) -> recommender.Step:
    """An example as the recommender learns it."""
    return recommender.Step(step.session, step.previous, step.item, step.time, step.segment)


def _code(segment: int | None) -> int:
    return -1 if segment is None else segment

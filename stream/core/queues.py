"""What waits until a step is full: models learn in steps of a fixed number of examples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from stream.core.example import Labelled, Step
from stream.core.features import FEATURES, unpack
from stream.models.state import State, StateError, StateValue, array


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
            "segments": np.array(
                [-1 if e.segment is None else e.segment for e in self.waiting], dtype=np.int32
            ),
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
    """Session steps, as (previous items, item, time)."""

    def __init__(self) -> None:
        self.waiting: list[tuple[tuple[str, ...], str, int]] = []

    def put(self, step: Step) -> None:
        """Add a step at the end."""
        self.waiting.append((step.previous, step.item, step.time))

    def state(self) -> State:
        """Everything that waits."""
        return {"steps": [[time, item, *previous] for previous, item, time in self.waiting]}

    @classmethod
    def from_state(cls, state: Mapping[str, StateValue]) -> StepQueue:
        """The queue that ``state`` was taken from."""
        steps = state.get("steps")
        if not isinstance(steps, list):
            raise StateError("steps: not a list")
        queue = cls()
        queue.waiting = [(tuple(previous), item, time) for time, item, *previous in steps]
        return queue

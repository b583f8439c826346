"""Editions of the models: one is decided with while a spare copy takes over what changed.

Rules: what has been handed out never changes under whoever holds it, however long they do. The
spare is the edition before; if anybody still holds that, it is left to them and the current one is
copied. So nobody waits for anybody, and an edition that could not be made harms none that is in
use. All of this may run in a thread of its own, one call at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from weakref import ReferenceType, ref

from stream.decide.world import Models
from stream.learn.estimators import Estimators, States
from stream.models.base.changes import Changes


class Spare(NamedTuple):
    """The edition before: its estimators, what they lack, and those who may still hold it."""

    estimators: Estimators
    lacks: Mapping[str, Changes]
    held: ReferenceType[Models]


class Editions:
    """The current edition, and the spare one.

    Attributes
    ----------
    current : Estimators or None
        What the current edition is made of, not to be changed; None before the first.
    """

    def __init__(self) -> None:
        self.current: Estimators | None = None
        self._spare: Spare | None = None
        self._out: ReferenceType[Models] | None = None

    def begin(self, states: States, through: Mapping[str, int], learned: int) -> Models:
        """An edition of its own.

        Raises
        ------
        StateError
            If a state is missing or not what its class wrote.
        """
        self.current, self._spare = Estimators.from_states(states, through, learned), None
        return self._handed_out(self.current)

    def advance(
        self, changes: Mapping[str, Changes], through: Mapping[str, int], learned: int
    ) -> Models:
        """The edition after the current one.

        Raises
        ------
        StateError
            If the changes do not fit; the current edition stays as it is.
        """
        before, held = self.current, self._out
        assert before is not None and held is not None, "there is nothing to go on from"
        after = self._copy(before)
        after.patch(changes, through, learned)
        self.current, self._spare = after, Spare(before, changes, held)
        return self._handed_out(after)

    def _copy(self, current: Estimators) -> Estimators:
        spare, self._spare = self._spare, None  # one that was changed by half is of no use
        if spare is None or spare.held() is not None:
            return Estimators.from_states(current.states(), current.through, current.learned)
        spare.estimators.follow(current, spare.lacks)
        return spare.estimators

    def _handed_out(self, estimators: Estimators) -> Models:
        models = estimators.models()
        self._out = ref(models)
        return models

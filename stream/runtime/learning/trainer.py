"""The trainer: lessons in, publications out; it knows no broker, no event loop and no clock."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from stream.codec.examples import decode_examples, decode_lesson
from stream.codec.models import Published, Publisher
from stream.config import LearningSettings
from stream.core.learner import Learner, Quality
from stream.core.rulebook import Said, standing

Lessons: TypeAlias = Iterable[tuple[int, bytes | None]]
"""Records of the log of examples, in its order: offsets and values."""


class Place(NamedTuple):
    """Where a trainer stands in the log of examples.

    ``position`` is the offset to read on at, ``learned`` the examples learned since the beginning,
    and ``waits`` says whether any of them wait for their step to fill.
    """

    position: int
    learned: int
    waits: bool


class Publication(NamedTuple):
    """The records that bring every reader to what was learned, and how good it is.

    Since the publication before it, ``new`` examples were learned, the propensity's ``drifts`` were
    seen, and ``evicted`` counts what has given way in bounded memory, by kind.
    """

    records: list[tuple[bytes, bytes]]
    quality: Quality
    new: int
    drifts: int
    evicted: dict[str, int]


class Rules(NamedTuple):
    """The association rules that stand when so many examples are learned."""

    stand: list[Said]
    learned: int


class Counts(NamedTuple):
    """What is counted since the beginning."""

    learned: int
    drifts: int
    evicted: dict[str, int]


class Trainer:
    """A learner, and what it has published.

    Parameters
    ----------
    settings, seed
        As for a `Learner`.
    slot, published
        Of the models' topic: the last full snapshot's slot, and the models to go on from.
    """

    def __init__(
        self,
        settings: LearningSettings,
        seed: int,
        slot: str,
        published: Published | None,
    ) -> None:
        self.learner = Learner(settings, seed)
        if published is not None:
            self.learner.restore(*published)
        self._settings = settings
        self._publisher = Publisher(slot, settings.key)
        self._told = self._counts()

    def learn(self, lessons: Lessons) -> None:
        """Learn records of the log of examples."""
        for offset, value in lessons:
            learn_record(self.learner, offset, value)

    def place(self) -> Place:
        """Where it stands."""
        return Place(self.learner.position, self.learner.learned, self.learner.waits)

    def publish(self) -> Publication:
        """What brings readers from the last publication to what is learned by now."""
        learner = self.learner
        records = self._publisher.publish(learner.states(), learner.through, learner.learned)
        before, now = self._told, self._counts()
        self._told = now
        return Publication(
            records,
            learner.quality(),
            now.learned - before.learned,
            now.drifts - before.drifts,
            {kind: count - before.evicted[kind] for kind, count in now.evicted.items()},
        )

    def write_full(self) -> None:
        """Write the full snapshot that is due, if one is; it may run beside all but itself."""
        self._publisher.write_full()

    def rules(self) -> Rules:
        """The association rules that stand."""
        stand = standing(self.learner.rules, self._settings)
        return Rules(list(stand.values()), self.learner.learned)

    def _counts(self) -> Counts:
        learner = self.learner
        return Counts(learner.learned, learner.propensity.drifts, learner.evicted())


def learn_record(learner: Learner, offset: int, value: bytes | None) -> None:
    """Learn a record of the log of examples."""
    if value is not None:
        lesson = decode_lesson(value)
        for source, at, payload in lesson.taught:
            learner.learn(f"{source}/{lesson.partition}", at, decode_examples(payload))
        if lesson.settled:
            learner.settle(lesson.settled)
    learner.passed(offset)

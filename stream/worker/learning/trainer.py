"""The trainer: lessons in, publications out; it knows no broker, no event loop and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import NamedTuple, TypeAlias

import numpy as np
from mode import get_logger

from stream.codec.examples import MOST_PARTITIONS, LessonError, decode_lesson, read_examples
from stream.codec.snapshots.models import Published, Publisher
from stream.config import LearningSettings
from stream.learn.columns import ExampleColumns
from stream.learn.learner import Learner
from stream.learn.places import Stamps
from stream.learn.rulebook import Said, standing
from stream.models.propensity.foresight import Quality
from stream.models.propensity.shadow import Own

logger = get_logger(__name__)
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
    seen, and ``evicted`` counts what has given way in bounded memory, by kind; ``refused`` records
    of the log were passed over, and the challengers ``set_aside`` have failed.
    """

    records: list[tuple[bytes, bytes]]
    quality: Quality
    new: int
    drifts: int
    evicted: dict[str, int]
    refused: int = 0
    set_aside: tuple[str, ...] = ()


class Rules(NamedTuple):
    """The association rules that stand when so many examples are learned."""

    stand: list[Said]
    learned: int


class Counts(NamedTuple):
    """What is counted since the beginning."""

    learned: int
    drifts: int
    evicted: dict[str, int]
    set_aside: int


class Trainer:
    """A learner, and what it has published.

    Parameters
    ----------
    settings, seed
        As for a `Learner`.
    slot, published
        Of the models' topic: the last full snapshot's slot, and the models to go on from.
    partitions
        Of the event topics: there are no lessons of others.
    own
        Challengers of the shop's own.
    """

    def __init__(
        self,
        settings: LearningSettings,
        seed: int,
        slot: str,
        published: Published | None,
        partitions: int = MOST_PARTITIONS,
        own: Sequence[Own] = (),
    ) -> None:
        self.learner = Learner(settings, seed, own)
        if published is not None:
            self.learner.restore(*published)
        self._settings = settings
        self._partitions = partitions
        self._publisher = Publisher(slot, settings.key)
        self._told = self._counts()
        self._refused = 0

    def learn(self, lessons: Lessons) -> None:
        """Learn records of the log of examples."""
        for offset, value in lessons:
            self._refused += not learn_record(self.learner, self._partitions, offset, value)

    def place(self) -> Place:
        """Where it stands."""
        return Place(self.learner.position, self.learner.learned, self.learner.waits)

    def publish(self) -> Publication:
        """What brings readers from the last publication to what is learned by now."""
        learner = self.learner
        records = self._publisher.publish(learner.states(), learner.through, learner.learned)
        before, now = self._told, self._counts()
        refused, self._refused = self._refused, 0
        self._told = now
        return Publication(
            records,
            learner.quality(),
            now.learned - before.learned,
            now.drifts - before.drifts,
            {kind: count - before.evicted[kind] for kind, count in now.evicted.items()},
            refused,
            tuple(learner.set_aside[before.set_aside :]),
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
        counted = learner.learned, learner.propensity.drifts, learner.evicted()
        return Counts(*counted, len(learner.set_aside))


def learn_record(learner: Learner, partitions: int, offset: int, value: bytes | None) -> bool:
    """Learn a record of the log of examples; False if it is no lesson, and was passed over.

    What becomes of it follows from the records before it and from its own bytes: whoever reads the
    log, of a shop of so many partitions, learns the same.
    """
    try:
        _learn(learner, _read(learner, partitions, value))
    except LessonError as error:
        logger.warning("the record of the examples at %d is passed over: %s", offset, error)
        return False
    except Exception as error:  # a bug, which the next to read this record would meet, too
        logger.exception("a bug: %s at example %d", type(error).__name__, offset)
        return False
    finally:
        learner.passed(offset)
    return True


class _Read(NamedTuple):
    """A lesson, read before any of it is learned.

    Of each source with its partition the stamps of its events, and which of all events these are;
    what each event taught, as bytes, and all of it as columns; what is settled.
    """

    stamps: dict[str, tuple[Stamps, Stamps]]
    payloads: list[bytes]
    columns: ExampleColumns
    settled: int


def _read(learner: Learner, partitions: int, value: bytes | None) -> _Read:
    if value is None:
        raise LessonError("it has no value")
    lesson = decode_lesson(value)
    if lesson.taught and not 0 <= lesson.partition < partitions:
        raise LessonError(f"there is no partition {lesson.partition}")
    payloads = [event.examples for event in lesson.taught]
    columns = read_examples(payloads, learner.names)
    sources = np.array([event.source for event in lesson.taught], np.int64)
    told = np.array([event.offset for event in lesson.taught], np.int64)
    stamps = {}
    for source in dict.fromkeys(sources.tolist()):
        which = np.flatnonzero(sources == source)
        stamps[f"{source}/{lesson.partition}"] = told[which], which
    read = _Read(stamps, payloads, columns, lesson.settled)
    _check(learner, read)
    return read


def _check(learner: Learner, lesson: _Read) -> None:
    """Raise a `LessonError` if a lesson does not fit what was learned before it."""
    places, marks, columns = learner.places, learner.through, lesson.columns
    if any(places.leaps(marks, key, stamps) for key, (stamps, _) in lesson.stamps.items()):
        raise LessonError("an event lies too far ahead of the one before it")
    if columns.examples and not learner.clock.believes(columns.newest):
        raise LessonError("it is of a time too far ahead of the lessons before it")


def _learn(learner: Learner, lesson: _Read) -> None:
    stamps, payloads, columns, settled = lesson
    places, marks = learner.places, learner.through
    fresh, outlived = np.zeros(len(payloads), np.bool_), set[str]()
    for key, (told, which) in stamps.items():
        fresh[which], of_earlier_epoch = places.reach_all(marks, key, told)
        if of_earlier_epoch:
            outlived.add(key)
    if not fresh.all():
        columns = read_examples(list(compress(payloads, fresh)), learner.names)
    learner.take(columns)
    if settled:  # a number that nobody can have learned must not outbid those to come
        learner.settle(min(settled, learner.learned))
    if outlived:
        raise LessonError(
            f"what it teaches of {', '.join(sorted(outlived))} is of an earlier life of the topic "
            "than what was learned: a late repetition, or of a new app_id, which needs topics of "
            "its own for examples and models"
        )

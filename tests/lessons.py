"""What the log of examples teaches, and whether the models have learned it: each example once."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from stream.broker.records import Record
from stream.broker.whole import read_topic
from stream.codec.examples import decode_examples, decode_lesson
from stream.codec.snapshots.models import Assembler
from stream.config import Settings
from stream.learn.learner import LOG


class Publication(NamedTuple):
    """How many examples the log holds up to where a publication stands, and how many it learned."""

    offset: int
    taught: int
    learned: int


class Lessons:
    """The log of examples, as far as it was read, with the examples that it holds.

    Attributes
    ----------
    counts : list of int
        How many examples there are before each offset of the log, each counted once.
    """

    def __init__(self) -> None:
        self.counts = [0]
        self._known: dict[tuple[int, int, int], bytes] = {}
        self._latest: Counter[tuple[int, int]] = Counter()

    @property
    def total(self) -> int:
        """How many examples there are."""
        return self.counts[-1]

    def read(self, record: Record) -> None:
        """Take the next record; what a source taught comes in the source's order."""
        assert record.offset == len(self.counts) - 1
        lesson, new = decode_lesson(record.value or b""), 0
        for source, offset, found in lesson.taught:
            name = lesson.partition, source, offset
            if name not in self._known:
                assert offset >= self._latest[name[:2]], (record.offset, name)
                self._latest[name[:2]] = offset
                new += len(decode_examples(found))
            assert self._known.setdefault(name, found) == found
        self.counts.append(self.total + new)


def publications(settings: Settings) -> list[Publication]:
    """Every publication of models beside what the log teaches up to there."""
    lessons, models, found = Lessons(), Assembler(), list[Publication]()
    read_topic(settings, settings.topics.examples, 1, lessons.read)

    def follow(record: Record) -> None:
        if models.take(record.key, record.value):
            assert models.current is not None
            offset = models.current.through[LOG]
            found.append(Publication(offset, lessons.counts[offset + 1], models.current.learned))

    read_topic(settings, settings.topics.models, 1, follow)
    assert models.refused == 0
    assert (found[-1].taught if found else 0) == lessons.total
    return found

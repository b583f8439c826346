"""Verifying the models: learned again from the log of examples, they are the same bit for bit."""

from __future__ import annotations

from typing import NamedTuple

from stream.broker.records import Record, value_of
from stream.broker.whole import read_topic
from stream.codec.snapshots.models import Assembler
from stream.codec.snapshots.snapshot import fingerprint
from stream.config import ConfigError, Settings
from stream.learn.learner import LOG, Learner
from stream.worker.learning.trainer import learn_record


class ModelFingerprints(NamedTuple):
    """For each kind of model, the fingerprints of what is published and of what was relearned."""

    learned: int
    published: dict[str, str]
    relearned: dict[str, str]

    @property
    def holds(self) -> bool:
        """Whether they are the same."""
        return self.published == self.relearned


def verify_models(settings: Settings) -> ModelFingerprints:
    """Learn the log of examples up to where the newest publication has, and compare.

    Raises
    ------
    ConfigError
        If nothing is published, or the log of examples no longer begins at its beginning.
    """
    assembler = Assembler(settings.learning.key)
    read_topic(settings, settings.topics.models, 1, lambda r: _assemble(assembler, r))
    published = assembler.current
    if published is None:
        raise ConfigError(f"the topic {settings.topics.models} holds no models: let a worker learn")
    learner = Learner(settings.learning, settings.core.seed)
    first: list[int] = []

    def learn(record: Record) -> None:
        first.append(record.offset)
        if record.offset <= published.through.get(LOG, -1):
            learn_record(learner, settings.partitions, record.offset, value_of(record))

    read_topic(settings, settings.topics.examples, 1, learn)
    if not first or first[0] != 0:
        raise ConfigError(
            f"the topic {settings.topics.examples} no longer holds its first records: "
            "models can be verified within its retention only"
        )
    kinds = published.states
    return ModelFingerprints(
        published.learned,
        {kind: fingerprint(state) for kind, state in kinds.items()},
        {kind: fingerprint(state) for kind, state in learner.states().items()},
    )


def _assemble(assembler: Assembler, record: Record) -> None:
    assembler.take(record.key, value_of(record))

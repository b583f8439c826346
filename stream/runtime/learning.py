"""The learner's agent: examples in order, models out, acknowledged when what they taught is safe.

Rules: one worker learns, the one that owns the examples' only partition, and only the latest of
them can publish; it goes on from the last publication, drops what that had learned already, reads
anew what it had not and is not delivered, and acknowledges a batch only when a publication that
has learned it is durable. It publishes at most once an interval, and only what changed; what it
publishes is made outside the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from time import perf_counter
from typing import Any

from faust.types import TP
from mode import get_logger

from stream.codec.examples import Lesson, decode_examples, decode_lesson, encode_lesson
from stream.codec.models import Publisher
from stream.config import Settings
from stream.core.learner import Learner, Quality
from stream.runtime.archive import read_between
from stream.runtime.batching.records import Delivery, Record
from stream.runtime.progress import Progress
from stream.runtime.rulebook import RuleBook
from stream.runtime.worldview import WorldView

logger = get_logger(__name__)


class Learning:
    """Learns batches of the examples topic and publishes the models."""

    def __init__(
        self,
        app: Any,
        settings: Settings,
        view: WorldView,
        rules: RuleBook,
        caught_up: Callable[[], Awaitable[None]],
        observe: Callable[[int, Quality], None],
    ) -> None:
        self._app = app
        self._settings = settings
        self._view = view
        self._rules = rules
        self._caught_up = caught_up
        self._observe = observe
        self._learner: Learner | None = None
        self._publisher = Publisher()
        self._taken: list[Delivery] = []
        self._lock = asyncio.Lock()
        self._forgotten = 0
        self.progress = Progress()

    async def take(self, event: Delivery) -> None:
        """Learn one batch; it is acknowledged by the publication that holds it."""
        async with self._lock:
            if event.value.void:
                return  # what comes before it is learned anew first
            forgotten = self._forgotten
            batch, learner = event.value, self._learner or await self._restored()
            await self._catch_up(learner, batch.arrived[0].record.offset)
            if forgotten != self._forgotten:
                self._learner = None
                return
            for record in batch.records:
                learn_record(learner, record)
            self._taken.append(event)
            self.progress.advance(batch.next_offsets)

    async def publish(self) -> None:
        """Publish what was learned since the last publication, and now and then the rules."""
        async with self._lock:
            learner, taken, forgotten = self._learner, self._taken, self._forgotten
            if learner is None or not taken:
                return
            self._taken = []
            states = await asyncio.to_thread(learner.states)
            records = await asyncio.to_thread(
                self._publisher.publish, states, learner.through, learner.learned
            )
            if forgotten != self._forgotten:
                return
            topic = self._settings.topics.models
            await (await self._app.send_batch(topic, 0, [(k, v, None, ()) for k, v in records]))
            for event in taken:
                event.ack()
            self._observe(learner.learned, learner.quality())
            learned = learner.learned
        await asyncio.to_thread(self._publisher.write_full)
        if self._rules.is_due:
            await self._rules.write(states["rules"], learned)

    async def finish(self) -> None:
        """Publish what was learned, and the rules as they stand."""
        await self.publish()
        async with self._lock:
            if self._learner is not None:
                await self._rules.write(self._learner.rules.state(), self._learner.learned)

    async def settle(self) -> None:
        """Say in the log of examples that what waits for its step to fill is learned as it is.

        It is then a matter of the log, and not of this worker's clock, when it was learned.
        """
        learner = self._learner
        if learner is not None and learner.waits:
            value = encode_lesson(Lesson(-1, (), learner.learned))
            topic = self._settings.topics.examples
            await (await self._app.send_batch(topic, 0, [(None, value, None, ())]))

    async def publish_regularly(self) -> None:
        """Publish each interval what was learned in it; until cancelled."""
        interval = self._settings.learning.publish_interval
        while True:
            await asyncio.sleep(interval / 2)
            await self.settle()
            await asyncio.sleep(interval / 2)
            began = perf_counter()
            await self.publish()
            # A large model may cost much to publish: let it have half of the time at most.
            await asyncio.sleep(perf_counter() - began)

    def forget(self) -> None:
        """Stop being the learner, until the next batch of examples says otherwise."""
        self._learner = None
        self._taken.clear()
        self._forgotten += 1

    async def _restored(self) -> Learner:
        await self._fence()
        await self._caught_up()
        learner = Learner(self._settings.learning, self._settings.core.seed)
        published = await self._view.published()
        if published is not None:
            await asyncio.to_thread(learner.restore, *published)
        self._publisher = Publisher(self._view.slot, self._settings.learning.key)
        self._learner = learner
        return learner

    async def _catch_up(self, learner: Learner, offset: int) -> None:
        """Learn what lies in the log between what the learner knows and an offset.

        Nothing does, unless the models that were published are older than what was acknowledged
        (they were refused, or lost), or a batch was given up and the one behind it was not.
        """
        if learner.position < offset:
            logger.warning("examples %d to %d are read again", learner.position, offset - 1)
            learn = partial(learn_record, learner)
            where = TP(self._settings.topics.examples, 0), learner.position, offset
            await read_between(self._settings, self._app.open_log, *where, learn)

    async def _fence(self) -> None:
        """Be the only one who publishes, before reading what was published."""
        models = TP(self._settings.topics.models, 0)
        await self._app.producer.own(models)
        await (await self._app.send_batch(*models, [(b"fence", None, None, ())]))


def learn_record(learner: Learner, record: Record) -> None:
    """Learn a record of the examples' topic."""
    if record.value is not None:
        lesson = decode_lesson(record.value)
        for source, offset, payload in lesson.taught:
            learner.learn(f"{source}/{lesson.partition}", offset, decode_examples(payload))
        if lesson.settled:
            learner.settle(lesson.settled)
    learner.passed(record.offset)

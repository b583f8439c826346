"""The learner's agent: examples in order, models out, acknowledged when what they taught is safe.

Rules: one worker learns, the one that owns the examples' only partition, and only the latest of
them can publish; it goes on from the last publication, drops what that had learned already, reads
anew what it had not and is not delivered, and acknowledges a batch only when a publication that
has learned it is durable. It publishes at most once an interval, and only what changed; what it
publishes is made outside the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import Any, TypeVar

from faust.types import TP
from mode import get_logger

from stream.broker.progress import Progress
from stream.broker.records import Record, value_of
from stream.codec.examples import Lesson, encode_lesson
from stream.config import Settings
from stream.worker.faust.records import Batch, InFlight
from stream.worker.learning.process import Apart, Here, TrainerEnded, Training
from stream.worker.learning.rulebook import RuleBook
from stream.worker.learning.trainer import Publication
from stream.worker.worldview import WorldView

logger = get_logger(__name__)
T = TypeVar("T")


class Learning:
    """Has batches of the examples topic learned, and publishes the models.

    ``apart`` says whether the trainer gets a process of its own.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        view: WorldView,
        rules: RuleBook,
        caught_up: Callable[[], Awaitable[None]],
        observe: Callable[[Publication], None],
        *,
        apart: bool = False,
    ) -> None:
        self._app = app
        self._settings = settings
        self._view = view
        self._rules = rules
        self._caught_up = caught_up
        self._observe = observe
        self._apart = apart
        self._training: Training | None = None
        self._starting = False
        self._ending: asyncio.Future[None] | None = None
        self._position = 0  # the offset up to which the trainer was handed the log of examples
        self._taken: list[InFlight] = []
        self._lock = asyncio.Lock()
        self._forgotten = 0
        self.progress = Progress()

    @property
    def waited(self) -> float:
        """Seconds for which the trainer has owed an answer."""
        return self._training.waited if self._training is not None else 0.0

    async def take(self, event: InFlight) -> None:
        """Learn one batch; it is acknowledged by the publication that holds it."""
        async with self._lock:
            if event.value.void:
                return  # what comes before it is learned anew first
            if await self._unless_forgotten(self._learn(event.value)):
                self._taken.append(event)
                self.progress.advance(event.value.next_offsets)

    async def publish(self) -> None:
        """Publish what was learned since the last publication, and now and then the rules."""
        if self._starting:
            return  # nothing was learned, and whoever ends need not wait until it could be
        async with self._lock:
            training, taken = self._training, self._taken
            if training is None or not taken:
                return
            self._taken = []
            publication = await self._unless_forgotten(training.publish())
            if publication is None:
                return
            topic = self._settings.topics.models
            records = [(key, value, None, ()) for key, value in publication.records]
            await (await self._app.send_batch(topic, 0, records))
            for event in taken:
                event.ack()
            self._observe(publication)
        await self._write_full(training)
        if self._rules.is_due:
            await self._write_rules()

    async def finish(self) -> None:
        """Publish what was learned, and the rules as they stand."""
        await self.publish()
        await self._write_rules()

    async def settle(self) -> None:
        """Say in the log of examples that what waits for its step to fill is learned as it is.

        It is then a matter of the log, and not of this worker's clock, when it was learned.
        """
        async with self._lock:
            if self._training is None:
                return
            place = await self._unless_forgotten(self._training.place())
        if place is not None and place.waits:
            value = encode_lesson(Lesson(-1, (), place.learned))
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
        self._drop()
        self._taken.clear()
        self._forgotten += 1

    async def stop(self) -> None:
        """Forget, and return when nothing is left of what learned."""
        self.forget()
        if self._ending is not None:
            await self._ending

    async def _learn(self, batch: Batch) -> bool:
        training = self._training or await self._started()
        records = list(batch.records)
        await self._catch_up(training, records[0].offset)
        await self._hand_over(training, records)
        return True

    async def _started(self) -> Training:
        self._starting = True
        try:
            return await self._begun()
        finally:
            self._starting = False

    async def _begun(self) -> Training:
        self._training = training = (
            await Apart.started(self._settings.log_format) if self._apart else Here()
        )
        await self._fence()
        await self._caught_up()
        published = await self._view.published()
        settings = self._settings
        await training.begin(
            settings.learning,
            settings.core.seed,
            self._view.slot,
            published,
            settings.partitions,
            settings.extensions.challengers,
        )
        self._position = (await training.place()).position
        return training

    async def _hand_over(self, training: Training, records: Sequence[Record]) -> None:
        await training.learn([(record.offset, value_of(record)) for record in records])
        self._position = max(self._position, records[-1].offset + 1)

    async def _catch_up(self, training: Training, offset: int) -> None:
        """Learn what lies in the log between what the trainer was handed and an offset.

        Nothing does, unless the models that were published are older than what was acknowledged
        (they were refused, or lost), or a batch was given up and the one behind it was not.
        """
        if self._position < offset:
            logger.warning("examples %d to %d are read again", self._position, offset - 1)
            span = {TP(self._settings.topics.examples, 0): (self._position, offset)}
            async for records in self._app.broker.read(span):
                await self._hand_over(training, records)

    async def _fence(self) -> None:
        """Be the only one who publishes, before reading what was published."""
        models = TP(self._settings.topics.models, 0)
        await self._app.producer.own(models)
        await (await self._app.send_batch(*models, [(b"fence", None, None, ())]))

    async def _write_full(self, training: Training) -> None:
        try:
            await training.write_full()
        except TrainerEnded:
            if training is self._training:
                raise

    async def _write_rules(self) -> None:
        async with self._lock:
            if self._training is None:
                return
            stand = await self._unless_forgotten(self._training.rules())
            if stand is not None:
                await self._rules.write(*stand)

    async def _unless_forgotten(self, work: Awaitable[T]) -> T | None:
        """What comes of a trainer's work; None if it was forgotten meanwhile."""
        forgotten, done = self._forgotten, None
        try:
            done = await work
        except TrainerEnded:
            if forgotten == self._forgotten:
                raise
        if forgotten == self._forgotten:
            return done
        self._drop()  # it may have begun since
        return None

    def _drop(self) -> None:
        training, self._training = self._training, None
        if training is not None:
            self._ending = asyncio.ensure_future(training.end())

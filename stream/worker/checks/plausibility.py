"""Plausibility of models: nobody has learned what was never written.

Rules: what a publication says that it has learned is compared with where the logs end; the broker
is asked only where the ends that are known do not suffice. A place in the log of examples beyond
its end means that the log was made anew: the models stay good, and the log is read from its end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Final

from aiokafka.errors import KafkaError
from faust.types import TP
from mode import get_logger

from stream.broker.protocol import Broker, OffsetRange
from stream.codec.customers import StoredRecordError, decode_ledger
from stream.codec.snapshots.snapshot import SnapshotError
from stream.config import Settings
from stream.domain.event import Source
from stream.domain.stamps import next_place
from stream.learn.learner import LOG
from stream.learn.places import NEAR
from stream.worker.checks.agreement import snapshot_and_logs
from stream.worker.partition import ledger_key

logger = get_logger(__name__)
NO_EPOCHS: Final[Mapping[str, int]] = MappingProxyType({})
TAIL: Final = 100  # records of a changelog among which its ledger is: fences may stand behind it


class Plausibility:
    """Judges what publications say that they have learned."""

    def __init__(self, settings: Settings, broker: Broker) -> None:
        self._settings = settings
        self._broker = broker
        self._examples = TP(settings.topics.examples, 0)
        self._places = {
            f"{source:d}/{number}": TP(topic, number)
            for source, topic in zip(Source, settings.topics.events, strict=True)
            for number in range(settings.partitions)
        }
        self._ends: dict[str, int] = {}

    async def judged(self, through: Mapping[str, int]) -> dict[str, int]:
        """What can have been learned of this.

        Raises
        ------
        SnapshotError
            If more is said to be learned than there is.
        """
        events = {name: at for name, at in through.items() if name != LOG}
        place = through.get(LOG, -1)
        if self._doubt(events) or place >= self._ends.get(LOG, 0):
            await self._look()
        if self._doubt(events):
            epochs = await self._epochs(events.keys() & self._places.keys())
            if reason := self._doubt(events, epochs):
                raise SnapshotError(f"{reason}: forged, of other topics, or of another app_id")
        end = self._ends[LOG]
        if place >= end:
            logger.error(
                "models have learned %s to offset %d, and it ends before %d: it was made anew, or "
                "they are forged; what is written from now on is learned",
                *(self._examples.topic, place, end),
            )
            return {**through, LOG: end - 1}
        return dict(through)

    def _doubt(self, events: Mapping[str, int], epochs: Mapping[str, int] = NO_EPOCHS) -> str:
        return snapshot_and_logs(events, self._ends, epochs, NEAR)

    async def _look(self) -> None:
        while True:
            try:
                bounds = await self._broker.bounds([*self._places.values(), self._examples])
                break
            except (KafkaError, TimeoutError, OSError) as error:  # models wait; events don't
                logger.warning("models can't be judged, and wait: %s", error)
        self._ends = {name: bounds[tp].end for name, tp in self._places.items()}
        self._ends[LOG] = bounds[self._examples].end

    async def _epochs(self, names: Iterable[str]) -> dict[str, int]:
        """How often the topics behind these names were made anew, as the newest ledgers say."""
        numbers = {self._places[name].partition for name in names}
        changelogs = [TP(self._settings.customers_changelog, number) for number in numbers]
        bounds = await self._broker.bounds(changelogs)
        epochs = {}
        for tp in changelogs:
            for source, stamp in enumerate(await self._stamps(tp, bounds[tp])):
                epochs[f"{source}/{tp.partition}"], _ = next_place(stamp)
        return epochs

    async def _stamps(self, changelog: TP, bounds: OffsetRange) -> tuple[int, ...]:
        """The stamps of the newest ledger; empty without one."""
        for at in range(bounds.end - 1, max(bounds.start, bounds.end - TAIL) - 1, -1):
            record = (await self._broker.records({changelog: at})).get(changelog)
            if record and record.value and record.key == ledger_key(changelog.partition):
                with suppress(StoredRecordError):  # the one before it stands
                    return decode_ledger(record.value).stamps
        return ()

"""Following compacted topics of a local log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from faust.types import TP

from stream.broker.local.appended import Appended
from stream.broker.local.log import Log
from stream.broker.progress import Progress
from stream.broker.protocol import Take
from stream.broker.turns import TURN


class LocalFollower:
    """Follows topics of the local log."""

    def __init__(self, log: Callable[[], Log], topics: Mapping[str, Take]) -> None:
        self._log = log
        self._topics = topics
        self.progress = Progress()

    async def run(self) -> None:
        """Follow until cancelled."""
        log = self._log()
        with Appended(log, self._topics.keys()) as appended:
            while True:
                appended.clear()
                for topic in self._topics:
                    if self._read(log, topic):
                        appended.set()  # there may be more
                    await asyncio.sleep(0)
                await appended.wait()

    async def ends(self) -> Mapping[TP, int]:
        """The next offset of each topic, now."""
        log = self._log()
        return {TP(topic, 0): log.highwater(topic, 0) for topic in self._topics}

    def _read(self, log: Log, topic: str) -> bool:
        tp = TP(topic, 0)
        records = log.read(topic, 0, self.progress.done.get(tp, 0), TURN)
        for record in records:
            self._topics[topic](record)
        end = records[-1].offset + 1 if records else log.highwater(topic, 0)
        self.progress.advance({tp: end})
        return bool(records)

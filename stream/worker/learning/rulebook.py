"""The rules' topic: followed by every worker, written by the learner after its models.

Rules: what stands in the topic is what was said, whoever said it; so a learner that takes over
says only what is new, and one that crashed between models and rules says it when it is back. Rules
are looked for at most once an interval, by the trainer, outside the event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from time import monotonic
from typing import Any

from mode import get_logger

from stream.broker.records import Outgoing, Record, Unreadable
from stream.codec.rules import decode_rule, encode_key, encode_rule
from stream.config import Settings
from stream.learn.rulebook import Key, Said, changed

logger = get_logger(__name__)


class RuleBook:
    """What the rules' topic says, and saying what changed."""

    def __init__(
        self, app: Any, settings: Settings, on_refused: Callable[[], None] = lambda: None
    ) -> None:
        self._app = app
        self._settings = settings
        self._on_refused = on_refused
        self._said: dict[bytes, Said] = {}
        self._next = 0.0

    def take(self, record: Record) -> None:
        """Follow the topic."""
        try:
            self._take(record)
        except ValueError as error:
            self._on_refused()
            logger.warning("the rules' record at %d is passed over: %s", record.offset, error)

    def _take(self, record: Record) -> None:
        if isinstance(record, Unreadable):
            raise ValueError(record.aside.rejection.detail)
        if record.key is None:
            raise ValueError("it has no key")
        if record.value is None:
            self._said.pop(record.key, None)
            return
        said = decode_rule(record.value)
        if encode_key(said.key) != record.key:
            raise ValueError("its key is another rule's")
        self._said[record.key] = said

    @property
    def is_due(self) -> bool:
        """Whether the interval since rules were last looked for is over."""
        return monotonic() >= self._next

    async def write(self, stands: Iterable[Said], learned: int) -> None:
        """Say what changed, now that these stand."""
        self._next = monotonic() + self._settings.learning.rules_interval
        said = {each.key: each for each in self._said.values()}
        news = await asyncio.to_thread(changed, said, {each.key: each for each in stands})
        if news:
            topic = self._settings.topics.rules
            await (await self._app.send_batch(topic, 0, _records(news, learned)))


def _records(news: Mapping[Key, Said | None], learned: int) -> list[Outgoing]:
    return [
        (encode_key(key), None if said is None else encode_rule(said, learned), None, ())
        for key, said in news.items()
    ]

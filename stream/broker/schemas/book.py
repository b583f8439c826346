"""The schemas that are known, and those that are waited for.

Rules. Who reads records asks here and never waits: what is not known yet is asked for in the
background, and the record is kept until then.

- Schemas that were found are kept, the ones last used, in a bounded number and size. After some
  time they are asked for once more; until that is answered, and if it is not, they serve on.
- That a registry knows no such schema is remembered for a while.
- A registry that does not answer is asked again, each time after a longer while. A schema that it
  alone does not give, while it answers otherwise, is given up on after a stated time: an id that
  somebody made up must not hold up a partition for good.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple

from mode import get_logger

from stream.broker.schemas.asking import Asking, Failed, Unknown
from stream.codec.events.envelope import Headers
from stream.codec.events.opening import MAX_VALUE
from stream.codec.registry.frames import FramedValue, SchemaId, frame_of
from stream.codec.registry.translating import Translate, plain_headers, refusing, translator
from stream.config import KafkaSettings

logger = get_logger(__name__)
MOST: Final = 1_000
"""Schemas that are kept, and ids that are known to be none."""
MOST_BYTES: Final = 32 << 20
"""Of their texts."""
AT_ONCE: Final = 8
"""Schemas that are asked for at a time."""
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # s between two questions for a schema
STILL_WANTED: Final = 5.0  # s; who waits for a schema asks at least each second


class OpenedValue(NamedTuple):
    """A value and its headers, to be read as JSON."""

    value: bytes | None
    headers: Headers


@dataclass(slots=True)
class _Known:
    translate: Translate
    until: float
    size: int
    found: bool


@dataclass(slots=True)
class _Awaited:
    """A schema that was asked for in vain, in seconds of the clock."""

    since: float
    wanted: float
    again: float
    pause: float = FIRST_PAUSE
    why: str = ""


class SchemaBook:
    """What is known of a registry's schemas; it belongs into one event loop.

    Parameters
    ----------
    settings
        Where the registry is, and how long what is remembered.
    count
        Told of each answer: ``found``, ``unknown`` or ``failed``.
    clock
        In seconds, never going back.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        count: Callable[[str], None] = lambda outcome: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._asking = Asking(settings)
        self._keep = settings.schema_registry_keep
        self._forget = settings.schema_registry_forget
        self._patience = settings.schema_registry_patience
        self._count, self._clock = count, clock
        self._known: OrderedDict[SchemaId, _Known] = OrderedDict()
        self._size = 0
        self._tasks: dict[SchemaId, asyncio.Task[None]] = {}
        self._awaited: dict[SchemaId, _Awaited] = {}
        self._told = False

    async def close(self) -> None:
        """Ask no more."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._asking.close()

    def opened(self, value: bytes, headers: Headers) -> OpenedValue | None:
        """Return a value as JSON; None if its schema is not known yet, and is asked for now.

        Raises
        ------
        Refused
            ``decode`` or ``oversize`` if the value is not of its schema, ``unknown_schema`` if
            there is none.
        """
        frame = frame_of(value, headers) if len(value) <= MAX_VALUE else None
        if frame is None:
            return OpenedValue(value, headers)
        translate = self._translate(frame)
        if translate is None:
            return None
        made = translate(frame)
        return (
            OpenedValue(value, headers)
            if made is None
            else OpenedValue(made, plain_headers(headers))
        )

    def want(self, value: bytes, headers: Headers) -> None:
        """Have the schema of a value asked for, if that is not done yet; tell nothing of it."""
        with suppress(Exception):
            frame = frame_of(value, headers)
            if frame is not None and not self._told:
                self._translate(frame)

    async def known(self, schema: SchemaId) -> str | None:
        """Ask for a schema now; why it cannot be had, None if that is known by now."""
        if schema not in self._known:
            await self._ask(schema)
        found = self._awaited.get(schema)
        return None if schema in self._known or found is None else found.why

    def waited(self) -> tuple[float, str]:
        """For how many seconds somebody has waited for a schema, and what for."""
        now = self._clock()
        longest = max(
            ((now - one.since, name, one.why) for name, one in self._awaited.items()
             if now - one.wanted < STILL_WANTED and name not in self._known),
            key=lambda one: one[0], default=None,
        )  # fmt: skip
        if longest is None:
            return 0.0, ""
        seconds, name, why = longest
        return seconds, f"the Schema Registry does not give schema {name}: {why}"

    def _translate(self, frame: FramedValue) -> Translate | None:
        known, now = self._known.get(frame.schema), self._clock()
        if known is None:
            self._begin(frame.schema, now)
            return None
        if now > known.until:
            self._begin(frame.schema, now)
            if not known.found:
                return None
        self._known.move_to_end(frame.schema)
        return known.translate

    def _begin(self, schema: SchemaId, now: float) -> None:
        """Ask in the background, unless that is done or it is too early to do so again."""
        awaited = self._awaited.get(schema)
        if awaited is not None:
            awaited.wanted = now
            if now < awaited.again:
                return
        if schema in self._tasks or len(self._tasks) >= AT_ONCE:
            return
        task = asyncio.get_running_loop().create_task(self._ask(schema), name=f"schema-{schema}")
        self._tasks[schema] = task
        task.add_done_callback(lambda _: self._tasks.pop(schema, None))

    async def _ask(self, schema: SchemaId) -> None:
        try:
            definition = await self._asking.definition(schema)
            # Some milliseconds for a large one: others have the event loop meanwhile.
            translate = await asyncio.to_thread(translator, schema, definition)
        except Unknown as why:
            self._refuse(schema, f"the Schema Registry's schema {schema} cannot be had: {why}")
        except Failed as why:
            await self._failed(schema, str(why))
        except asyncio.CancelledError:
            raise
        except Exception as error:  # a bug of ours must end in a name, and not in silence
            logger.exception("schema %s could not be asked for", schema)
            await self._failed(schema, type(error).__name__)
        else:
            self._count("found")
            size = len(definition.text) + sum(len(text) for _, text in definition.referenced)
            self._put(schema, _Known(translate, self._clock() + self._keep, size, True))

    def _refuse(self, schema: SchemaId, detail: str) -> None:
        self._count("unknown")
        until = self._clock() + self._forget
        self._put(schema, _Known(refusing(detail), until, len(detail), False))

    async def _failed(self, schema: SchemaId, why: str) -> None:
        self._count("failed")
        now = self._clock()
        if len(self._awaited) >= MOST:
            self._awaited.pop(next(iter(self._awaited)))
        awaited = self._awaited.setdefault(schema, _Awaited(now, now, now))
        if now - awaited.wanted > max(2 * LONGEST_PAUSE, STILL_WANTED):
            awaited.since, awaited.pause = now, FIRST_PAUSE  # nobody waited in between
        awaited.again, awaited.why = now + awaited.pause, why
        awaited.pause = min(awaited.pause * 2, LONGEST_PAUSE)
        if not self._told and schema not in self._known:
            self._told = True
            logger.error(
                "the Schema Registry does not give schema %s (%s): partitions wait whose next "
                "events need it; nothing is lost, and it is asked again",
                *(schema, why),
            )
        if now - awaited.since >= self._patience and await self._asking.is_well():
            text = f"the Schema Registry does not give schema {schema}, and answers otherwise: "
            self._refuse(schema, text + why)

    def _put(self, schema: SchemaId, known: _Known) -> None:
        before = self._known.pop(schema, None)
        self._size += known.size - (before.size if before else 0)
        self._known[schema] = known
        self._awaited.pop(schema, None)
        if self._told and not self.waited()[0]:
            self._told = False
            logger.warning("the Schema Registry answers again: partitions go on")
        while len(self._known) > MOST or (self._size > MOST_BYTES and len(self._known) > 1):
            _, gone = self._known.popitem(last=False)
            self._size -= gone.size

"""Payloads of a registry's schemas for who reads a whole topic, one record after the other."""

from __future__ import annotations

import asyncio
from threading import Thread
from types import TracebackType
from typing import Self

from stream.broker.schemas.book import OpenedValue, SchemaBook
from stream.codec.events.envelope import Headers
from stream.codec.registry.frames import frame_of
from stream.config import ConfigError, KafkaSettings


class Inline:
    """Values as JSON; it waits for schemas. A context manager.

    Parameters
    ----------
    settings
        Which registry; where they name none, values stay as they are.

    Raises
    ------
    ConfigError
        If the file of the certificate authority can't be used.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._book = SchemaBook(settings) if settings.schema_registry_url else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def opened(self, value: bytes | None, headers: Headers) -> OpenedValue:
        """Return a value as JSON.

        Raises
        ------
        Refused
            As `SchemaBook.opened`.
        ConfigError
            If the registry does not give a schema.
        """
        if self._loop is None or value is None or frame_of(value, headers) is None:
            return OpenedValue(value, headers)
        waiting = asyncio.run_coroutine_threadsafe(self._opened(value, headers), self._loop)
        return waiting.result()

    async def _opened(self, value: bytes, headers: Headers) -> OpenedValue:
        assert self._book is not None
        while (told := self._book.opened(value, headers)) is None:
            frame = frame_of(value, headers)
            assert frame is not None
            why = await self._book.known(frame.schema)
            if why is not None:
                raise ConfigError(
                    f"kafka.schema_registry_url: schema {frame.schema} is not to be had: {why}; "
                    "try again when the registry answers"
                )
        return told

    def __enter__(self) -> Self:
        if self._book is not None:
            self._loop = asyncio.new_event_loop()
            self._thread = Thread(target=self._loop.run_forever, name="schemas", daemon=True)
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._loop is None or self._book is None or self._thread is None:
            return
        asyncio.run_coroutine_threadsafe(self._book.close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = None

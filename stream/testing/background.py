"""An event loop in a thread of its own, for callers that have none, or one of their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """Runs coroutines one after the other, each for ``patience`` seconds at most.

    Examples
    --------
    >>> loop = Background(10.0)
    >>> async def work() -> int:
    ...     return 7
    >>> loop.run(work(), "seven")
    7
    >>> loop.close()
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="offerstream-testing", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T], awaited: str) -> T:
        """Run a coroutine to its end, and return its result.

        Raises
        ------
        TimeoutError
            If it does not end in time; it is cancelled, and ``awaited`` is named.
        """
        future = asyncio.run_coroutine_threadsafe(self._bounded(work, awaited), self._loop)
        try:
            return future.result()
        except KeyboardInterrupt:
            future.cancel()
            raise

    def apart(self, work: Callable[[], T], awaited: str) -> T:
        """Run a function that may have an event loop of its own, in another thread."""
        return self.run(asyncio.to_thread(work), awaited)

    def close(self) -> None:
        """End the loop and its threads."""
        self.run(self._loop.shutdown_asyncgens(), "the end of the event loop")
        self.run(self._loop.shutdown_default_executor(), "the end of its threads")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _bounded(self, work: Coroutine[Any, Any, T], awaited: str) -> T:
        try:
            async with asyncio.timeout(self._patience) as bound:
                return await work
        except TimeoutError:
            if bound.expired():
                raise TimeoutError(
                    f"{awaited} did not come in {self._patience:g} s (patience)"
                ) from None
            raise

"""Group sync: many appends, one wait for the disk.

- Whoever appended asks `GroupSync.durable` for a future. All who ask before a round begins share
  it; the round syncs every partition that was appended to, in a thread, while the loop goes on.
- With ``fsync`` other than ``"always"`` the future is done at once: what was appended survives the
  end of the process. ``"interval"`` then syncs at most an interval later.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from stream.broker.local.log import Log

INTERVAL: Final = 1.0  # seconds that a power cut may cost with fsync = "interval"


class GroupSync:
    """Make appends durable in groups; belongs to the event loop that it was made in.

    Parameters
    ----------
    log
        Its ``fsync`` decides what durable means.
    """

    def __init__(self, log: Log) -> None:
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "local-log-sync")
        self._waiting: asyncio.Future[None] | None = None  # for the round that comes next
        self._serving: asyncio.Future[None] | None = None  # in the round that is under way

    def durable(self) -> asyncio.Future[None]:
        """Return a future that is done when all that was appended before is durable.

        It is shared: await it behind ``asyncio.shield``, or add a callback. It fails with the
        ``OSError`` of the disk.
        """
        if self._log.fsync != "always":
            done: asyncio.Future[None] = self._loop.create_future()
            done.set_result(None)
            if self._log.fsync == "interval" and self._waiting is None:
                self._waiting = self._loop.create_future()
                self._loop.call_later(INTERVAL, self._begin)
            return done
        if self._waiting is None:
            self._waiting = self._loop.create_future()
            if self._serving is None:
                self._loop.call_soon(self._begin)  # after the others of this turn of the loop
        return self._waiting

    async def close(self) -> None:
        """Wait for the round that is under way; `Log.close` syncs what is left."""
        if self._serving is not None:
            await asyncio.wait([self._serving])
        self._thread.shutdown(wait=False)

    def _begin(self) -> None:
        if self._serving is not None:  # slower than the interval
            self._loop.call_later(INTERVAL, self._begin)
            return
        self._serving, self._waiting = self._waiting, None
        try:
            round_ = self._loop.run_in_executor(self._thread, self._log.sync)
        except RuntimeError:  # closed meanwhile
            self._serving = None
            return
        round_.add_done_callback(self._end)

    def _end(self, round_: asyncio.Future[None]) -> None:
        served, self._serving = self._serving, None
        error = round_.exception()
        if served is not None and not served.done():
            if error is None:
                served.set_result(None)
            else:
                served.set_exception(error)
                served.exception()  # with "interval" nobody waits: the next append raises it
        if self._waiting is not None and self._log.fsync == "always":
            self._begin()

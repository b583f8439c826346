"""Who holds the event loop, and for how long: a watch over every callback that it runs.

Rules:

- What counts is CPU time of the loop's own thread: neither a busy machine nor a lock that another
  thread holds makes a hold longer.
- What the collector of garbage takes within a callback is left out: a test's process holds far
  more objects than a worker, which freezes what is there at its start.
- What a callback does so many times can be counted, too: that depends on no machine at all.
- Another thread looks every few milliseconds at what the loop's thread does, so that a hold is told
  with the place where it was.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
LOOK: Final = 0.003  # s between two looks at the stack
DEPTH: Final = 8  # innermost frames that are told
YARDSTICK: Final = 50_000  # numbers to write …
YARDSTICK_MS: Final = 10.0  # … take so long
TOLD: Final = 8  # holds that are told, the longest


class Hold(NamedTuple):
    """A callback that held the loop: CPU time in ms, and where it was seen most often."""

    ms: float
    place: str

    def __str__(self) -> str:
        return f"{self.ms:.1f} ms in\n{self.place}"


class Watchdog:
    """Records what held the event loop.

    Parameters
    ----------
    least
        CPU time in ms from which on a hold is recorded.

    Attributes
    ----------
    holds
        The holds, in order of time.
    most
        The most calls of each function that was :meth:`counted` within one callback.
    """

    def __init__(self, least: float) -> None:
        self.holds: list[Hold] = []
        self.most: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._least = least
        self._thread = threading.get_ident()
        self._turn = 0  # even between two callbacks, odd within one
        self._seen: list[tuple[int, str]] = []
        self._collecting = 0.0
        self._collected = 0.0
        self._over = threading.Event()

    @property
    def longest(self) -> float:
        """CPU time in ms of the longest hold, 0 if none was recorded."""
        return max((hold.ms for hold in self.holds), default=0.0)

    @property
    def sees(self) -> bool:
        """Whether it has looked at the callback that runs now."""
        return any(turn == self._turn for turn, _ in self._seen)

    def __str__(self) -> str:
        longest = sorted(self.holds, key=lambda hold: -hold.ms)[:TOLD]
        return "\n".join(map(str, longest)) or "nothing held the loop"

    def counted(self, name: str, function: Callable[P, T]) -> Callable[P, T]:
        """The function; its calls by the loop's thread are counted under this name."""

        def counting(*args: P.args, **kwargs: P.kwargs) -> T:
            if threading.get_ident() == self._thread:
                self._counts[name] += 1
                self.most[name] = max(self.most[name], self._counts[name])
            return function(*args, **kwargs)

        return counting

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the loop of this thread."""
        run = asyncio.Handle._run
        watch = self

        def watched(handle: asyncio.Handle) -> None:
            if threading.get_ident() == watch._thread:
                watch._run(run, handle)
            else:
                run(handle)

        looking = threading.Thread(target=self._look, name="watchdog", daemon=True)
        asyncio.Handle._run = watched  # type: ignore[method-assign,assignment]  # there is no hook
        gc.callbacks.append(self._on_collection)
        looking.start()
        try:
            yield
        finally:
            self._over.set()
            looking.join()
            gc.callbacks.remove(self._on_collection)
            asyncio.Handle._run = run  # type: ignore[method-assign]

    def _run(self, run: Any, handle: asyncio.Handle) -> None:
        self._turn += 1
        self._counts.clear()
        self._collected, began = 0.0, time.thread_time()
        try:
            run(handle)
        finally:
            ms = (time.thread_time() - began - self._collected) * 1e3
            if ms >= self._least:
                self.holds.append(Hold(ms, self._place() or repr(handle)))
            self._turn += 1

    def _place(self) -> str:
        """Where this turn was seen most often."""
        seen = Counter(place for turn, place in self._seen if turn == self._turn)
        self._seen.clear()
        return seen.most_common(1)[0][0] if seen else ""

    def _look(self) -> None:
        while not self._over.wait(LOOK):
            turn = self._turn
            frame = sys._current_frames().get(self._thread)
            if turn % 2 and frame is not None and turn == self._turn:
                self._seen.append((turn, _told(frame)))
                del self._seen[:-1000]

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._collecting = time.thread_time()
        else:
            self._collected += time.thread_time() - self._collecting


def slowness() -> float:
    """How much slower plain Python is here and now than where bounds were drawn; 1 at least."""
    times = []
    for _ in range(5):
        began = time.thread_time()
        sum(len(str(n)) for n in range(YARDSTICK))
        times.append((time.thread_time() - began) * 1e3)
    return max(min(times) / YARDSTICK_MS, 1.0)


def _told(frame: FrameType) -> str:
    stack = traceback.extract_stack(frame, limit=DEPTH)
    return "\n".join(f"    {each.filename}:{each.lineno} {each.name}" for each in stack)

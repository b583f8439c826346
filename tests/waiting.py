"""The one way in which tests wait: for what must come, whatever the load, and never for ever.

Rules:

- Who waits says in words what for, and gives a look at it: what was seen last is told with the
  failure. A look that knows it will never come (the process has ended) raises by itself.
- :data:`PATIENCE` is far beyond what a slow machine takes. No outcome depends on it: it ends a
  wait for what will not come. A test's own timeout (pyproject.toml) leaves room for three.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import Timer
from typing import IO, Any, Final, TypeVar

T = TypeVar("T")
PATIENCE: Final = 300.0  # s
TOLD: Final = 4_000  # characters of what was seen that a failure tells, the last ones


class InVain(AssertionError):
    """What was awaited did not come."""

    def __init__(self, awaited: str, seconds: float, seen: object) -> None:
        told = seen if isinstance(seen, str) else repr(seen)
        super().__init__(
            f"waited {seconds:g} s in vain for {awaited}; last seen: {told[-TOLD:] or 'nothing'}"
        )


class _Wait:
    """A wait that is under way; what sinks puts its end off."""

    def __init__(
        self, awaited: str, holds: Callable[[Any], object], left: Callable[[Any], float] | None
    ) -> None:
        self._awaited, self._holds, self._left = awaited, holds, left
        self._least = float("inf")
        self._since = time.monotonic()

    def over(self, seen: object) -> bool:
        """Whether what was seen is what was awaited."""
        if self._holds(seen):
            return True
        now = time.monotonic()
        if self._left is not None and (left := self._left(seen)) < self._least:
            self._least, self._since = left, now
        if now - self._since > PATIENCE:
            raise InVain(self._awaited, now - self._since, seen)
        return False


def until(
    awaited: str,
    look: Callable[[], T],
    holds: Callable[[T], object] = bool,
    *,
    left: Callable[[T], float] | None = None,
    every: float = 0.05,
) -> T:
    """Look again and again until what is seen holds, and return it.

    Parameters
    ----------
    awaited
        What is waited for, in words.
    look
        Sees how things are; raises if they can't come right any more.
    holds
        Whether what was seen is it; by default whether it is true.
    left
        How much is still to do, by what was seen; as long as that sinks, the end is put off.
    every
        Seconds between looks.

    Raises
    ------
    InVain
        If it does not hold in time.
    """
    wait = _Wait(awaited, holds, left)
    while not wait.over(seen := look()):
        time.sleep(every)
    return seen


async def eventually(
    awaited: str,
    look: Callable[[], Awaitable[T]],
    holds: Callable[[T], object] = bool,
    *,
    left: Callable[[T], float] | None = None,
    every: float = 0.05,
) -> T:
    """As `until`, in an event loop; the look is awaited."""
    wait = _Wait(awaited, holds, left)
    while not wait.over(seen := await look()):  # noqa: ASYNC110  # to be asked
        await asyncio.sleep(every)
    return seen


async def within(
    awaited: str, work: Awaitable[T], seen: Callable[[], object] = lambda: "nothing"
) -> T:
    """Await work that must come to an end, and return its result.

    Raises
    ------
    InVain
        If it does not in time; it is cancelled, and ``seen`` asked what there is to see.
    """
    try:
        async with asyncio.timeout(PATIENCE) as bound:
            return await work
    except TimeoutError:
        if bound.expired():
            raise InVain(awaited, PATIENCE, seen()) from None
        raise


def ended(process: subprocess.Popen[Any], seen: Callable[[], object] = lambda: "nothing") -> int:
    """Wait for the end of a process: its exit code."""
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        raise InVain(f"the end of {_named(process.args)}", PATIENCE, seen()) from None


def run(command: Sequence[object], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, with what it says captured as text."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | options
    try:
        return subprocess.run([*map(str, command)], timeout=PATIENCE, **options)
    except subprocess.TimeoutExpired as expired:
        said = b"".join(each or b"" for each in (expired.stdout, expired.stderr))
        told = said.decode(errors="replace")
        raise InVain(f"the end of {_named(command)}", PATIENCE, told) from None


@contextmanager
def reading(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kill a process whose reader waits too long; that ends the reading, and is told."""
    expired: list[bool] = []

    def expire() -> None:
        expired.append(True)
        process.kill()

    timer = Timer(PATIENCE, expire)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        if expired:
            raise InVain(f"the words of {_named(process.args)}", PATIENCE, "it was killed")


def line_with(process: subprocess.Popen[str], words: str, source: IO[str] | None = None) -> str:
    """The next line with these words that a process says, on its standard output by default."""
    told: list[str] = []
    said = source or process.stdout
    assert said is not None
    with reading(process):
        for line in said:
            told.append(line)
            if words in line:
                return line
    raise AssertionError(f"{_named(process.args)} ended without {words!r}: {''.join(told)[-TOLD:]}")


def _named(args: Any) -> str:
    words = args if isinstance(args, list | tuple) else [args]
    return " ".join(str(word).split("\n")[0][:60] for word in words[:8])

"""Worker processes that are forked from one that has imported everything: a life costs little.

Rules: a life ends with whoever started it, however that ends; its words go to a log file; it is
the command ``offerstream worker`` and nothing else, but for the point at which it is doomed.
"""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import multiprocessing
import os
import re
import signal
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from stream.config import Settings
from stream.host.environment import load
from stream.worker.checks.topics import verify
from stream.worker.engine import Engine
from tests.chaos.points import Doom
from tests.chaos.shop import Sent, events, with_new_customers
from tests.waiting import PATIENCE, InVain, eventually

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    ["stream.cli.worker", "stream.worker.app", "stream.worker.running", "rocksdict", __name__]
)
Lived = Callable[[Mapping[str, str], Path, Doom | None], None]
DIE_WITH_PARENT = 1  # Linux: PR_SET_PDEATHSIG


class Life:
    """One process, from its start to its end."""

    def __init__(
        self,
        lived: Lived,
        environ: Mapping[str, str],
        folder: Path,
        doom: Doom | None = None,
    ) -> None:
        folder.mkdir(exist_ok=True, parents=True)
        self.log = folder / "words.log"
        self._said = self.log.stat().st_size if self.log.exists() else 0
        self.process = FORKS.Process(target=lived, args=(environ, folder, doom))
        self.process.start()

    @property
    def code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self.process.exitcode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still runs."""
        assert self.process.pid is not None
        if self.code is None:
            os.kill(self.process.pid, number)

    def resident_mb(self) -> float:
        """What it holds in memory, in 10^6 bytes."""
        told = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(told.partition("VmRSS:")[2].split()[0]) * 1024 / 1e6

    def kill(self) -> None:
        """Kill -9, and see it dead."""
        self.process.kill()
        self.process.join()

    async def ended(self) -> int:
        """Wait for the end; the exit code."""
        await asyncio.to_thread(self.process.join, PATIENCE)
        if self.code is None:
            self.send(signal.SIGUSR1)
            await asyncio.sleep(1.0)
            raise InVain(f"the end of {self.log.parent.name}", PATIENCE, self.words())
        return self.code

    def words(self) -> str:
        """What this life has logged."""
        if not self.log.exists():
            return ""
        with self.log.open("rb") as log:
            log.seek(self._said)
            return log.read().decode(errors="replace")

    async def page(self, path: str) -> str:
        """A page of metrics or health; empty where there is no answer, or not 200."""
        addresses = re.findall(r"health and metrics at (\S+)", self.words())
        if not addresses:
            return ""
        with suppress(OSError):
            answer = await asyncio.to_thread(urllib.request.urlopen, addresses[-1] + path, None, 30)
            with answer:
                return str(answer.read().decode())
        return ""

    async def ready(self) -> None:
        """Wait until it takes events."""

        async def look() -> str:
            if self.code is not None:
                raise AssertionError(f"it ended with {self.code}:\n{self.words()}")
            return await self.page("/readyz") or self.words()

        await eventually("a worker that is ready", look, lambda seen: seen == "ready\n")


def worker(environ: Mapping[str, str], folder: Path, doom: Doom | None) -> None:
    """Be ``offerstream worker`` until the end."""
    born(environ, folder, doom)
    from stream.cli import main

    sys.argv[:] = ["offerstream", "worker"]
    main()


def engine(
    environ: Mapping[str, str], folder: Path, doom: Doom | None, seed: int, number: int
) -> None:
    """Be an engine that publishes to its own log until its end; not doomed, it settles."""
    born(environ, folder, doom)
    settings = load(file=None, environ=os.environ, options={}).settings
    after = number * 100_000
    # Without new customers a long life would use up the day's offers, and never get to its end.
    source = with_new_customers(events(seed, 300, after), after)
    asyncio.run(_engine(settings, source, until_killed=doom is not None))


async def _engine(settings: Settings, source: Iterator[Sent], until_killed: bool) -> None:
    await asyncio.to_thread(verify, settings)
    async with Engine(settings) as running:
        while until_killed:
            some = [next(source) for _ in range(20)]
            await running.publish([(kind, key, value, (), None) for kind, key, value in some])
            await asyncio.sleep(0.002)
        await running.settle()


def born(environ: Mapping[str, str], folder: Path, doom: Doom | None) -> None:
    """Share nothing with the parent but the code: no settings, no output, no life of its own."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    for name in [name for name in os.environ if name.startswith("OFFERSTREAM_")]:
        del os.environ[name]
    os.environ.update(environ)
    with (folder / "words.log").open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    faulthandler.register(signal.SIGUSR1, sys.stderr)
    os.chdir(folder)
    if doom is not None:
        doom.arm()


class Fleet:
    """Lives in numbered places; each has its own folder and its own name in the group."""

    def __init__(self, environ: Mapping[str, str], folder: Path, size: int, lived: Lived) -> None:
        self._environ, self._folder, self._lived = environ, folder, lived
        self.lives: dict[int, Life] = {}
        self.crashes = 0
        for number in range(size):
            self.start(number)

    def start(self, number: int, doom: Doom | None = None, fresh: bool = False) -> Life:
        """Start a life in a place; ``fresh``: with nothing of the former's store."""
        place = self._folder / f"worker-{number}"
        state = place / (f"state-{os.urandom(4).hex()}" if fresh else "state")
        environ = {**self._environ, "OFFERSTREAM_DATA_DIR": str(state)}
        self.lives[number] = Life(self._lived, environ, place, doom)
        return self.lives[number]

    def revive(self) -> None:
        """Start again what ended by itself, as a supervisor would: a fenced worker does."""
        for number, life in list(self.lives.items()):
            if life.code is not None:
                self.crashes += 1
                self.start(number)

    def words(self) -> str:
        """What the lives have logged, one after the other."""
        return "\n".join(f"worker {number}:\n{life.words()}" for number, life in self.lives.items())

    async def dismiss(self, number: int) -> int:
        """Ask a life to end (SIGTERM) and wait for it; the exit code."""
        life = self.lives.pop(number)
        life.send(signal.SIGTERM)
        return await life.ended()

    def end(self) -> None:
        """End all, well if they can."""
        for life in self.lives.values():
            life.send(signal.SIGCONT)
            life.send(signal.SIGTERM)
        for life in self.lives.values():
            life.process.join(30)
            life.kill()

"""Apps of plain Faust on a local log."""

import asyncio
from contextlib import asynccontextmanager

import faust
import pytest
from faust.transport.drivers import TRANSPORTS

from tests.waiting import within


@pytest.fixture(autouse=True)
def _local_scheme(monkeypatch):
    """Let ``local://`` be found without the package being installed."""
    monkeypatch.setitem(
        TRANSPORTS.aliases, "local", "stream.worker.faust.local.transport:Transport"
    )


@pytest.fixture
def make_app(tmp_path):
    def make(query="", **settings):
        return faust.App(
            "shop",
            broker=f"local://{tmp_path}/log?partitions=4{query}",
            store="memory://",
            topic_partitions=4,
            topic_disable_leader=True,
            web_enabled=False,
            **settings,
        )

    return make


@pytest.fixture
def running():
    @asynccontextmanager
    async def run(app):
        app.finalize()
        await app.start()
        try:
            yield app
        finally:
            await app.stop()

    return run


class Tally:
    """What agents saw, and a way to wait for it."""

    def __init__(self):
        self.seen = []
        self._changed = asyncio.Event()

    def add(self, thing):
        self.seen.append(thing)
        self._changed.set()

    async def reach(self, count):
        await within(f"{count} things seen", self._reach(count), lambda: self.seen)
        return self.seen

    async def _reach(self, count):
        while len(self.seen) < count:
            self._changed.clear()
            await self._changed.wait()


@pytest.fixture
def tally():
    return Tally()

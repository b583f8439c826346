"""How far the worker has come in each partition, for those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from faust.types import TP


class Progress:
    """The next offset of each topic partition; everything before it is done and durable."""

    def __init__(self) -> None:
        self.done: dict[TP, int] = {}
        self._moved = asyncio.Event()

    def advance(self, offsets: Mapping[TP, int]) -> None:
        """Note that everything below these offsets is done."""
        for tp, offset in offsets.items():
            self.done[tp] = max(self.done.get(tp, 0), offset)
        self._moved.set()

    async def reach(self, targets: Mapping[TP, int]) -> None:
        """Return when everything below each target offset is done."""
        while any(self.done.get(tp, 0) < offset for tp, offset in targets.items()):
            self._moved.clear()
            await self._moved.wait()

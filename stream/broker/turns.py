"""Long work in the event loop, in turns: heartbeats, commits, probes and decisions have theirs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Final, TypeVar

T = TypeVar("T")
TURN: Final = 200  # records read in one go: 3 ms, and 10 if each of them is refused


async def in_turns(items: Sequence[T], turn: int = TURN) -> AsyncIterator[Sequence[T]]:
    """Pieces of at most ``turn`` items, in order; between two of them others have their turn."""
    for at in range(0, len(items), turn):
        if at:
            await asyncio.sleep(0)
        yield items[at : at + turn]

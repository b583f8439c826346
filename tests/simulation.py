"""A worker's protocol without a worker: one partition, a log of durable things, and crashes.

The pure core and the order of effects are the real ones; what is simulated is time between them.
A crash may come before or after any effect; what was durable stays, what was in memory is gone,
and records after the last commit are delivered again, in batches of other sizes.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from stream.codec.examples import encode_examples
from stream.codec.offers import encode_offer
from stream.codec.state import decode_ledger, decode_state, encode_ledger, encode_state
from stream.core.event import Event, Rejection, RejectionCode, Source
from stream.core.ledger import EXAMPLES, OFFER, UNSTAMPED, Decided, Entry, Ledger, decide_batch
from stream.core.state import CustomerState
from stream.core.world import World
from stream.runtime.partition import EffectWriter

__all__ = ["Crash", "Durable", "encode_examples", "encode_offer", "run"]

Topics = list[list[Event | Rejection]]


class Crash(Exception):
    """The worker was killed."""


@dataclass
class Durable:
    """What survives a crash: the changelog (last write per key), what was sent, the commits."""

    changelog: dict[str, bytes | None] = field(default_factory=dict)
    ledger: bytes | None = None
    offers: list[bytes] = field(default_factory=list)
    examples: list[tuple[int, int, bytes]] = field(default_factory=list)
    dead: list[tuple[Source, int]] = field(default_factory=list)
    late: list[tuple[Source, int]] = field(default_factory=list)
    committed: list[int] = field(default_factory=lambda: [0] * len(Source))

    def states(self) -> dict[str, CustomerState]:
        """Customers' records without what only a crash tells apart: effects on their way."""
        return {
            name: replace(decode_state(value), effects=())
            for name, value in self.changelog.items()
            if value is not None
        }

    def counts(self) -> Counter[str]:
        """The ledger's counts."""
        return Counter({} if self.ledger is None else decode_ledger(self.ledger).counts)


class Worker:
    """One life of a worker: from the durable state to the end, or to a crash."""

    def __init__(
        self, topics: Topics, durable: Durable, world: World, chance: random.Random, crash_at: int
    ) -> None:
        self.topics = topics
        self.durable = durable
        self.world = world
        self.chance = chance
        self.left = crash_at
        self.ledger = Ledger() if durable.ledger is None else decode_ledger(durable.ledger)
        self.overlay: dict[str, CustomerState | None] = {}
        self.safe = UNSTAMPED

    def work(self) -> None:
        """Take batches until there are no more records."""
        at = list(self.durable.committed)
        while any(at[source] < len(self.topics[source]) for source in Source):
            entries = list(self._batch(at))
            decided = decide_batch(
                entries, 0, self.ledger, self.safe, self._lookup, self.world, EffectWriter
            )
            self.ledger = decided.ledger
            self.overlay.update(decided.changed)
            self._flush(entries, decided)
            for source in Source:
                offsets = [e.offset for e in entries if e.source == source]
                at[source] = max([at[source] - 1, *offsets]) + 1
            self._effect()
            self.durable.committed = list(at)
            self.safe = tuple(offset - 1 for offset in at)

    def _batch(self, at: list[int]) -> Iterator[Entry]:
        """Some records of some topics, by event time; those of a topic stay in order."""
        waiting = {
            source: [
                Entry(source, at[source] + n, content)
                for n, content in enumerate(
                    self.topics[source][at[source] : at[source] + self.chance.randint(0, 5)]
                )
            ]
            for source in Source
        }
        while any(waiting.values()):
            source = min((s for s in Source if waiting[s]), key=lambda s: _time(waiting[s][0]))
            yield waiting[source].pop(0)

    def _flush(self, entries: Sequence[Entry], decided: Decided) -> None:
        """The changelog as one atomic batch, then each effect, each of which may be the last."""
        self._effect()
        for name, state in decided.changed.items():
            self.durable.changelog[name] = None if state is None else encode_state(state)
        self.durable.ledger = encode_ledger(decided.ledger)
        for _, effect in decided.effects:
            self._effect()
            if effect.kind == OFFER:
                self.durable.offers.append(effect.payload)
            elif effect.kind == EXAMPLES:
                self.durable.examples.append((effect.source, effect.offset, effect.payload))
        for index in decided.rejected:
            self._effect()
            self.durable.dead.append((entries[index].source, entries[index].offset))
        for index in decided.late:
            self._effect()
            self.durable.late.append((entries[index].source, entries[index].offset))

    def _lookup(self, customer: str) -> CustomerState | None:
        if customer in self.overlay:
            return self.overlay[customer]
        stored = self.durable.changelog.get(customer)
        return None if stored is None else decode_state(stored)

    def _effect(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


def run(topics: Topics, world: World, seed: int, crashes: int) -> Durable:
    """Work through the topics, with so many crashes at random effects."""
    chance = random.Random(seed)
    durable = Durable()
    for _ in range(crashes):
        try:
            Worker(topics, durable, world, chance, chance.randint(0, 30)).work()
        except Crash:
            continue
    Worker(topics, durable, world, chance, crash_at=1 << 60).work()
    return durable


def a_rejection() -> Rejection:
    """A record that is no event."""
    return Rejection(RejectionCode.DECODE, "not JSON")


def _time(entry: Entry) -> int:
    return (
        0 if isinstance(entry.content, Rejection) or entry.content is None else entry.content.time
    )

"""A worker's protocol without a worker: one partition, a log of durable things, and crashes.

The pure core and the order of effects are the real ones; what is simulated is time between them.
A few batches are decided ahead of those whose effects are on their way. A crash may come before or
after any effect, and between the two record batches that a large write to the changelog takes.
What was durable stays, what was in memory is gone, and records after the last commit are delivered
again, in batches of other sizes.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from stream.codec.examples import encode_examples
from stream.codec.offers import encode_offer
from stream.codec.state import (
    decode_ledger,
    decode_page,
    decode_state,
    encode_ledger,
    encode_page,
    encode_state,
)
from stream.core.due import Page
from stream.core.event import Event, Rejection, RejectionCode, Source
from stream.core.example import Example, Step
from stream.core.ledger import EXAMPLES, OFFER, UNSTAMPED, Decided, Entry, Ledger, decide_batch
from stream.core.state import CustomerState
from stream.core.world import World
from stream.runtime.partition import EffectWriter

__all__ = ["Crash", "Durable", "encode_examples", "encode_offer", "run"]

Topics = list[list[Event | Rejection]]


AHEAD = 3
BUGGY = "an item that meets a bug"


class Writer(EffectWriter):
    """The codec of effects, with a bug."""

    @staticmethod
    def examples(examples: Sequence[Example]) -> bytes:
        """Fail on an item."""
        if any(isinstance(example, Step) and example.item == BUGGY for example in examples):
            raise ValueError("a bug")
        return encode_examples(examples)


class Crash(Exception):
    """The worker was killed."""


@dataclass
class Durable:
    """What survives a crash: the changelog (last write per key), what was sent, the commits."""

    changelog: dict[str, bytes | None] = field(default_factory=dict)
    ledger: bytes | None = None
    pages: dict[int, bytes] = field(default_factory=dict)
    offers: list[bytes] = field(default_factory=list)
    examples: list[tuple[int, int, bytes]] = field(default_factory=list)
    dead: list[tuple[Source, int]] = field(default_factory=list)
    failed: list[tuple[Source, int]] = field(default_factory=list)
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
        self,
        topics: Topics,
        durable: Durable,
        world: World,
        chance: random.Random,
        crash_at: int,
        torn: bool,
    ) -> None:
        self.topics = topics
        self.durable = durable
        self.world = world
        self.chance = chance
        self.left = crash_at
        self.torn = torn
        self.ledger = Ledger() if durable.ledger is None else decode_ledger(durable.ledger)
        self.overlay: dict[str, CustomerState | None] = {}
        self.pages: dict[int, Page] = {}
        self.safe = UNSTAMPED

    def work(self) -> None:
        """Take batches until there are no more records."""
        at = list(self.durable.committed)
        pending: deque[tuple[list[Entry], Decided, list[int]]] = deque()
        while pending or self._are_left(at):
            ahead = len(pending) < AHEAD and self.chance.random() < 0.6
            if self._are_left(at) and (ahead or not pending):
                entries = list(self._batch(at))
                pending.append((entries, self._decide(entries), at := _behind(at, entries)))
            else:
                entries, decided, done = pending.popleft()
                self._send(entries, decided)
                self.safe = tuple(offset - 1 for offset in done)
                self._effect()
                if not pending or self.chance.random() < 0.5:
                    self.durable.committed = list(done)

    def _are_left(self, at: Sequence[int]) -> bool:
        return any(at[source] < len(self.topics[source]) for source in Source)

    def _decide(self, entries: Sequence[Entry]) -> Decided:
        """Decide a batch and append it to the changelog."""
        decided = decide_batch(
            entries, 0, self.ledger, self.safe, self._lookup, self._page, self.world, Writer
        )
        self.ledger = decided.ledger
        self.overlay.update(decided.changed)
        self.pages.update(decided.pages)
        self._append(decided)
        return decided

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

    def _append(self, decided: Decided) -> None:
        """The changelog: atomic, or in two pieces of which the ledger ends the second."""
        cut = self.chance.randint(0, len(decided.changed)) if self.torn else 0
        self._effect()
        for n, (name, state) in enumerate(decided.changed.items()):
            if n == cut and self.torn:
                self._effect()
            self.durable.changelog[name] = None if state is None else encode_state(state)
        for number, page in decided.pages.items():
            self.durable.pages[number] = encode_page(page)
        self.durable.ledger = encode_ledger(decided.ledger)

    def _send(self, entries: Sequence[Entry], decided: Decided) -> None:
        """Each effect, each of which may be the last."""
        for _, effect in decided.effects:
            self._effect()
            if effect.kind == OFFER:
                self.durable.offers.append(effect.payload)
            elif effect.kind == EXAMPLES:
                self.durable.examples.append((effect.source, effect.offset, effect.payload))
        for index in decided.rejected:
            self._effect()
            self.durable.dead.append((entries[index].source, entries[index].offset))
        for index, _ in decided.failed:
            self._effect()
            self.durable.failed.append((entries[index].source, entries[index].offset))
        for index in decided.late:
            self._effect()
            self.durable.late.append((entries[index].source, entries[index].offset))

    def _lookup(self, customer: str) -> CustomerState | None:
        if customer in self.overlay:
            return self.overlay[customer]
        stored = self.durable.changelog.get(customer)
        return None if stored is None else decode_state(stored)

    def _page(self, number: int) -> Page | None:
        if number in self.pages:
            return self.pages[number]
        stored = self.durable.pages.get(number)
        return None if stored is None else decode_page(stored)

    def _effect(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


def run(topics: Topics, world: World, seed: int, crashes: int, torn: bool = False) -> Durable:
    """Work through the topics, with so many crashes at random effects.

    ``torn`` lets a crash tear a write to the changelog: then a customer's record may be ahead of
    the ledger, which tells of what it finds there only that it was applied.
    """
    chance = random.Random(seed)
    durable = Durable()
    for _ in range(crashes):
        try:
            Worker(topics, durable, world, chance, chance.randint(0, 30), torn).work()
        except Crash:
            continue
    Worker(topics, durable, world, chance, 1 << 60, torn).work()
    return durable


def a_rejection() -> Rejection:
    """A record that is no event."""
    return Rejection(RejectionCode.DECODE, "not JSON")


def _behind(at: Sequence[int], entries: Sequence[Entry]) -> list[int]:
    """The next offset of each topic behind some entries."""
    behind = list(at)
    for entry in entries:
        behind[entry.source] = max(behind[entry.source], entry.offset + 1)
    return behind


def _time(entry: Entry) -> int:
    return (
        0 if isinstance(entry.content, Rejection) or entry.content is None else entry.content.time
    )

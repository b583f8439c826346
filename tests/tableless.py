"""A partition without a table, for tests of what one batch leaves to the next."""

from __future__ import annotations

from collections.abc import Sequence

from stream.codec.customers import decode_ledger, encode_ledger
from stream.codec.decisions import encode_said
from stream.decide.batch import decide_batch
from stream.decide.ledger import UNSTAMPED, Decided, Entry, Ledger
from stream.decide.rows.due import Page
from stream.decide.rows.state import CustomerState, Effect
from stream.decide.world import World
from tests.deciding import values_of


class Tableless:
    """What a partition keeps between batches, in memory, the ledger by way of its bytes."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = Ledger()
        self.records: dict[str, bytes | None] = {}
        self.pages: dict[int, Page] = {}
        self.effects: list[Effect] = []

    @property
    def states(self) -> dict[str, CustomerState | None]:
        """The customers' records as values."""
        return values_of(self.records)

    def decide(self, entries: Sequence[Entry]) -> Decided:
        """Decide one batch, and keep what it left."""
        batch = decide_batch(
            entries,
            0,
            self.ledger,
            UNSTAMPED,
            self.records.get,
            self.pages.get,
            self.world,
            encode_said,
        )
        self.ledger = decode_ledger(encode_ledger(batch.ledger))
        self.records |= batch.changed
        self.pages |= batch.pages
        self.effects += [effect for _, effect in batch.effects]
        return batch

"""A run of a batch: its events and their customers' records, laid out for the kernels.

Rules: a run takes events that are new and say nothing of permission. While it lasts, it alone knows
the records of its customers; what else reads or changes one does so here.
"""

from __future__ import annotations

from struct import Struct
from typing import Final

import numpy as np

from stream.decide.consent import stance_of
from stream.decide.rows.layout import HEAD, MARK, Table
from stream.decide.rows.record import TIMER, Desk, pending_of, said_of, sealed, waits_of
from stream.decide.rows.state import Effect
from stream.decide.rows.track import EVENTS, SLOT, STEP, TAPE, run_on

_STEP: Final = Struct("<10q").pack
_SLOT: Final = Struct("<6q").pack
_WIDE, _NARROW = STEP.itemsize // 8, SLOT.itemsize // 8  # numbers
STREAM_TIME, NEXT_LOOK, END = range(3)  # of a `CLOCK`
_PAGE: Final = HEAD.fields["page"][1] if HEAD.fields else 0


class Run:
    """Events one behind the other, and the records of their customers.

    Attributes
    ----------
    slots : dict[str, int]
        The slot of each customer.
    changed : dict[str, int]
        Those whose records have changed, in the order of their first change.
    indices : list[int]
        Of each event, its place in the batch.
    """

    def __init__(self, desk: Desk, default: bool, durable: tuple[int, ...]) -> None:
        self.slots: dict[str, int] = {}
        self.changed: dict[str, int] = {}
        self.indices: list[int] = []
        self._desk, self._default, self._durable = desk, default, durable
        self._track, self._tape = desk.track, desk.tape
        self._steps_laid, self._slots_laid, self._clock = desk.numbers
        self._effects: dict[int, list[Effect]] = {}
        self._records: list[bytes] = []
        self._rows: list[bytes] = []  # slots, until they are laid
        self._steps: list[bytes] = []
        self._events: list[bytes] = []
        self._of_events = self._of_records = 0
        self.events = b""

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def has_room(self) -> bool:
        """Whether one more customer and one more event may join."""
        return len(self.indices) < EVENTS and self._of_records < TAPE

    def enter(self, name: str, record: bytes, ends: int) -> int:
        """Have a customer's record join; its slot.

        ``ends`` is when the first campaign ends of which an offer of theirs is open, in ms.
        """
        size = waits_of(record)[2]
        slot = self.slots[name] = len(self._rows)
        if size < len(record):
            self._effects[slot] = pending_of(record, size, self._durable)
            record = record[:size]
        profiled, since, is_open = stance_of(said_of(record), self._default)
        self._rows.append(_SLOT(self._of_records, size, profiled, since, is_open, ends))
        self._records.append(record)
        self._of_records += size
        return slot

    def join(self, index: int, slot: int, arriving: bytes) -> None:
        """Have an event join, packed."""
        size = len(arriving)
        self._steps.append(_STEP(self._of_events, size, slot, 0, 0, 0, 0, 0, 0, 0))
        self._events.append(arriving)
        self.indices.append(index)
        self._of_events += size

    def lay(self) -> None:
        """Lay out what has joined."""
        tape, steps, slots, _ = self._track
        self.events = b"".join(self._events)
        _put(tape, b"".join(self._records))
        _put(steps.view(MARK), b"".join(self._steps))
        _put(slots.view(MARK), b"".join(self._rows))
        self._clock[END] = self._of_records

    def go_on(self, first: int, stream_time: int, next_look: int, rules: Table) -> tuple[int, int]:
        """Take events from one on until one stops the kernel: which, and why."""
        self._clock[STREAM_TIME], self._clock[NEXT_LOOK] = stream_time, next_look
        at, why = run_on(self.events, first, len(self), self._track, rules, self._desk.tables)
        return at, why

    @property
    def stream_time(self) -> int:
        """In ms, after the last events that were taken."""
        return self._clock[STREAM_TIME]

    def steps(self, first: int, end: int) -> list[tuple[int, ...]]:
        """What became of events, as of `STEP`."""
        return self._track[1][first:end].tolist()  # type: ignore[no-any-return]

    def halted(self, at: int, time: int, now: int) -> tuple[bytes, int, bool]:
        """Of an event at which the kernels stopped: its bytes, its outcome, if it may be learned.

        ``time`` is its own in ms, and ``now`` the stream time at which it is taken.
        """
        start, size, slot, outcome = self._steps_laid[at * _WIDE : at * _WIDE + 4]
        event = self.events[start : start + size]
        told = event[:8] + now.to_bytes(8, "little") + event[16:]
        return told, outcome, self.may_learn(slot, time)

    def records(self) -> dict[str, bytes]:
        """The records that have changed, in the order of their first change."""
        return {name: self.whole(slot) for name, slot in self.changed.items()}

    def taught(self, start: int, size: int) -> bytes:
        """Examples of one event."""
        return bytes(self._tape[start : start + size])

    def record(self, slot: int) -> bytes:
        """A customer's record, without effects."""
        start, size = self._place(slot)
        return bytes(self._tape[start : start + size])

    def whole(self, slot: int) -> bytes:
        """A customer's record, with the effects that are not yet durable."""
        record = self.record(slot)
        effects = self._effects.get(slot)
        return sealed(record, len(record), effects) if effects else record

    def put(
        self, slot: int, record: bytes, size: int, effects: tuple[Effect, ...], ends: int
    ) -> None:
        """Put a customer's new record here, with more effects; those behind it are the old ones.

        ``ends`` as in `enter`.
        """
        if size < len(record):
            self._effects[slot] = pending_of(record, size, self._durable)
        start = self._clock[END]
        self._tape[start : start + size] = record[:size]
        self._slots_laid[slot * _NARROW], self._slots_laid[slot * _NARROW + 1] = start, size
        self._slots_laid[slot * _NARROW + 5] = ends
        self._clock[END] = start + size
        for effect in effects:
            self.send(slot, effect)

    def put_page(self, slot: int, page: int) -> None:
        """Have a customer's record name the page of its newest entry in the queue of due labels."""
        at = self._place(slot)[0] + _PAGE
        self._tape[at : at + 8] = page.to_bytes(8, "little", signed=True)

    def timer(self, slot: int) -> int:
        """The page of a customer's timer; 0 if none is set."""
        at = self._place(slot)[0] + TIMER
        return int.from_bytes(self._tape[at : at + 4], "little")

    def put_timer(self, slot: int, page: int) -> None:
        """Have a customer's record name the page of their timer."""
        at = self._place(slot)[0] + TIMER
        self._tape[at : at + 4] = page.to_bytes(4, "little")

    def may_learn(self, slot: int, time: int) -> bool:
        """Whether an event of a time in ms may be learned from."""
        profiled, since = self._slots_laid[slot * _NARROW + 2 : slot * _NARROW + 4]
        return bool(profiled and time >= since)

    def send(self, slot: int, effect: Effect) -> None:
        """Put an effect behind a customer's record."""
        self._effects.setdefault(slot, []).append(effect)

    def _place(self, slot: int) -> tuple[int, int]:
        """Where a customer's record begins on the tape, and its bytes."""
        return self._slots_laid[slot * _NARROW], self._slots_laid[slot * _NARROW + 1]


def _put(table: Table, data: bytes) -> None:
    table[: len(data)] = np.frombuffer(data, MARK)

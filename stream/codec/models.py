"""Models on their compacted topic: full snapshots, and between them only what changed.

Rules: a publication is a snapshot of all models together, split into parts; a part's key says
which publication of which slot it belongs to::

    a/full/0  a/full/1  a/1/0  a/2/0  …  b/full/0  b/full/1  b/1/0  …

Full snapshots alternate between two slots, so that compaction never takes the last whole one
away while the next is being written. A change applies only to the very snapshot it was taken
from; one that does not fit is left, and the last good state stays in use.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from stream.codec.delta import apply, delta
from stream.codec.parts import PartError, join, read_part, split
from stream.codec.snapshot import Snapshot, SnapshotError, decode, encode
from stream.models.state import State, StateError, StateValue, integer, nested, part_of

KIND, VERSION = "models", 1
SLOTS = ("a", "b")
CHANGES = 120  # changes on one full snapshot; a new worker applies at most so many


class Published(NamedTuple):
    """All models at a point of the examples' log.

    ``through`` is the last offset learned by source partition, ``learned`` the number of
    examples learned since the beginning.
    """

    states: dict[str, State]
    through: dict[str, int]
    learned: int


class Publisher:
    """Turns one state after another into records of the models topic."""

    def __init__(self, slot: str = SLOTS[-1]) -> None:
        self._slot = slot
        self._state: State | None = None
        self._through: dict[str, int] = {}
        self._changes = 0
        self._changed_bytes = 0
        self._full_bytes = 0

    def publish(
        self,
        states: Mapping[str, Mapping[str, StateValue]],
        through: Mapping[str, int],
        learned: int,
    ) -> list[tuple[bytes, bytes]]:
        """The (key, value) records that bring every reader to this state."""
        state = _merged(states, learned)
        if self._state is None or self._is_full_due():
            records = self._full(state, through)
        else:
            records = self._change(self._state, state, through)
        self._state, self._through = state, dict(through)
        return records

    def _is_full_due(self) -> bool:
        return self._changes >= CHANGES or self._changed_bytes > 2 * self._full_bytes

    def _full(self, state: State, through: Mapping[str, int]) -> list[tuple[bytes, bytes]]:
        self._slot = SLOTS[self._slot == SLOTS[0]]
        self._changes = self._changed_bytes = 0
        data = encode(KIND, VERSION, state, through)
        self._full_bytes = len(data)
        return _records(f"{self._slot}/full", data)

    def _change(
        self, old: State, new: State, through: Mapping[str, int]
    ) -> list[tuple[bytes, bytes]]:
        self._changes += 1
        data = encode(KIND, VERSION, delta(old, new), through, base=self._through)
        self._changed_bytes += len(data)
        return _records(f"{self._slot}/{self._changes}", data)


class Assembler:
    """Puts publications together again, from the records of the models topic in their order.

    Attributes
    ----------
    current : Published or None
        The last whole and good publication.
    slot : str
        The slot that ``current`` began in.
    refused : int
        Publications that were damaged or did not fit.
    """

    def __init__(self) -> None:
        self.current: Published | None = None
        self.slot = SLOTS[-1]
        self.refused = 0
        self._state: State = {}
        self._parts: dict[int, bytes] = {}
        self._digest = b""

    def take(self, key: bytes | None, value: bytes | None) -> bool:
        """Take one record; True if it completed a publication that is now current."""
        if key is None or value is None:
            return False
        try:
            data = self._joined(value)
            return data is not None and self._adopt(key.decode(), decode(data))
        except (PartError, SnapshotError, StateError, UnicodeDecodeError):
            self.refused += 1
            return False

    def _joined(self, value: bytes) -> bytes | None:
        part = read_part(value)
        if part.digest != self._digest:
            self._digest, self._parts = part.digest, {}
        self._parts[part.number] = value
        if len(self._parts) < part.parts:
            return None
        parts, self._parts, self._digest = self._parts, {}, b""
        return join(parts.values())

    def _adopt(self, key: str, snapshot: Snapshot) -> bool:
        if snapshot.kind != KIND or snapshot.version != VERSION:
            raise SnapshotError(f"a snapshot of {snapshot.kind}, version {snapshot.version}")
        if snapshot.base is None:
            state = snapshot.state
            self.slot = key.partition("/")[0]
        elif self.current is not None and snapshot.base == self.current.through:
            state = apply(self._state, snapshot.state)
        else:
            return False
        self._state = state
        self.current = _parted(state, snapshot.learned_through)
        return True


def _records(prefix: str, data: bytes) -> list[tuple[bytes, bytes]]:
    return [(f"{prefix}/{number}".encode(), part) for number, part in enumerate(split(data))]


def _merged(states: Mapping[str, Mapping[str, StateValue]], learned: int) -> State:
    merged: State = {"learned": learned, "kinds": sorted(states)}
    for kind, state in states.items():
        merged |= nested(kind, state)
    return merged


def _parted(state: State, through: dict[str, int]) -> Published:
    kinds = state.get("kinds")
    if not isinstance(kinds, list):
        raise StateError("kinds: not a list")
    states = {str(kind): part_of(state, str(kind)) for kind in kinds}
    return Published(states, through, integer(state, "learned", 0, 2**62))

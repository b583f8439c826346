"""Models on their compacted topic: full snapshots, and between them only what changed.

Rules: a publication is a snapshot of all models together, split into parts; a part's key says
which publication of which slot it belongs to::

    a/full/0  a/full/1  a/1/0  a/2/0  …  b/full/0  b/full/1  b/1/0  …

Full snapshots alternate between two slots, so that compaction never takes the last whole one
away while the next is being written. What changed is published before the full snapshot that
holds it, too: who has followed has no need of that. A change applies only to the very snapshot
it was taken from; one that does not fit is left, and the last good state stays in use. With a key
every publication is signed, and what is not signed with it is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from stream.codec.snapshots.delta import apply, delta
from stream.codec.snapshots.parts import PartError, join, read_part, split
from stream.codec.snapshots.snapshot import Snapshot, SnapshotError, decode, encode, head
from stream.models.base.changes import Changes, Shape, fitting, shapes
from stream.models.base.state import State, StateError, StateValue, integer, nested, part_of

KIND, VERSION = "models", 2
SLOTS = ("a", "b")
CHANGES = 240  # changes on one full snapshot; a new worker applies at most so many
LEAST_FULL: Final = 1 << 20  # bytes changed below which a full snapshot is not worth it
MOST: Final = 1 << 30  # bytes of all models together, inflated

States = Mapping[str, Mapping[str, StateValue]]
Mark = dict[str, int]
"""A point of the log of examples: the last offset learned of it, and of each source partition."""


class Published(NamedTuple):
    """All models at a point of the examples' log.

    ``through`` is the last offset learned of the log of examples and of each source partition,
    ``learned`` the number of examples learned since the beginning.
    """

    states: dict[str, State]
    through: dict[str, int]
    learned: int


def pack(published: Published) -> bytes:
    """A publication as bytes, for another process of the same program."""
    state = _merged(published.states, published.learned)
    return encode(KIND, VERSION, state, published.through, compress=False)


def unpack(data: bytes) -> Published:
    """What `pack` was given.

    Raises
    ------
    SnapshotError, StateError
        If these are other bytes.
    """
    snapshot = decode(data, max_bytes=MOST)
    return _parted(snapshot.state, snapshot.learned_through)


class Changed(NamedTuple):
    """What changed since the publication before, by kind of model."""

    changes: dict[str, Changes]
    through: dict[str, int]
    learned: int


class Point(NamedTuple):
    """All models as one state, and the point of the log of examples that they stand at."""

    state: State
    mark: Mark


class Publisher:
    """Turns one state after another into records of the models topic.

    A full snapshot takes seconds to write where much is held. So the one that is due is written
    by `write_full`, beside the publications that go on; it enters the topic with the next of them,
    and with what changed since its state was taken.
    """

    def __init__(self, slot: str = SLOTS[-1], key: bytes | None = None) -> None:
        self._slot = slot
        self._key = key
        self._last: Point | None = None
        self._due: Point | None = None
        self._written: tuple[Point, bytes] | None = None
        self._changes = 0
        self._changed_bytes = 0
        self._full_bytes = 0

    def publish(
        self, states: States, through: Mapping[str, int], learned: int
    ) -> list[tuple[bytes, bytes]]:
        """The (key, value) records that bring every reader to this state."""
        now, records = Point(_merged(states, learned), dict(through)), []
        if self._last is None:
            self._due = now
            self.write_full()
        else:
            records += self._change(self._last, now)
        if self._written is not None:
            records += self._full(now)
        elif self._due is None and self._is_full_due():
            self._due = now
        self._last = now
        return records

    def write_full(self) -> None:
        """Write the full snapshot that is due, if one is; the next publication will have it.

        It may run beside `publish`, but not beside itself.
        """
        due = self._due
        if due is not None:
            self._written = due, encode(KIND, VERSION, due.state, due.mark, key=self._key)
            self._due = None

    def _is_full_due(self) -> bool:
        largest = max(2 * self._full_bytes, LEAST_FULL)
        return self._changes >= CHANGES or self._changed_bytes > largest

    def _full(self, now: Point) -> list[tuple[bytes, bytes]]:
        assert self._written is not None
        (point, data), self._written = self._written, None
        self._slot = SLOTS[self._slot == SLOTS[0]]
        self._changes = self._changed_bytes = 0
        self._full_bytes = len(data)
        records = _records(f"{self._slot}/full", data)
        return records if point is now else records + self._change(point, now)

    def _change(self, old: Point, new: Point) -> list[tuple[bytes, bytes]]:
        self._changes += 1
        changes = delta(old.state, new.state)
        data = encode(KIND, VERSION, changes, new.mark, base=old.mark, key=self._key)
        self._changed_bytes += len(data)
        return _records(f"{self._slot}/{self._changes}", data)


class Parcel(NamedTuple):
    """A publication's parts, all there; nothing of them was checked but that they are parts."""

    slot: str
    parts: tuple[bytes, ...]
    bytes: int


class Collector:
    """Puts parcels together from the records of the models topic, in their order."""

    def __init__(self) -> None:
        self._parts: dict[int, bytes] = {}
        self._digest = b""
        self._held = 0

    def take(self, key: bytes | None, value: bytes | None) -> Parcel | None:
        """Take one record; the parcel that it completes, if it does.

        Raises
        ------
        PartError
            If the record is damaged.
        """
        if key is None or value is None:
            return None
        part = read_part(value)
        if part.digest != self._digest:
            self._digest, self._parts, self._held = part.digest, {}, 0
        self._held += len(part.piece) if part.number not in self._parts else 0
        if self._held > min(part.length, MOST):
            self._digest, self._parts = b"", {}
            raise PartError("the parts are more than the whole")
        self._parts[part.number] = value
        if len(self._parts) < part.parts:
            return None
        parts, self._parts, self._digest = self._parts, {}, b""
        slot = key.decode(errors="replace").partition("/")[0]
        return Parcel(slot, tuple(parts.values()), part.length)


def claimed(parcel: Parcel) -> Mark:
    """What a parcel says that it has learned through; nothing of it is proven yet.

    Raises
    ------
    PartError, SnapshotError
        If it is damaged.
    """
    return head(join(parcel.parts)).learned_through


class Reader:
    """Reads parcels, one after the other, and tells those that go on from what was read before.

    Attributes
    ----------
    slot : str
        The slot of the last full snapshot read, or passed over as known already.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self.slot = SLOTS[-1]
        self._key = key
        self._mark: Mark | None = None
        self._gap: Mark | None = None
        self._shapes: dict[str, Shape] = {}
        self._learned = 0

    def read(self, parcel: Parcel) -> Published | Changed | None:
        """What a parcel holds; None if that is known, or does not go on from what was read.

        Raises
        ------
        PartError, SnapshotError, StateError
            If it is damaged, forged, or does not fit; then it is as if it had not been there.
        """
        data = join(parcel.parts)
        about = head(data)
        if about.kind != KIND or about.version != VERSION:
            raise SnapshotError(f"a snapshot of {about.kind}, version {about.version}")
        if about.base is None and self._is_past(about.learned_through):
            self.slot = parcel.slot
            return None
        if about.base is not None and about.base != self._mark:
            self._note_gap(about.base)
            return None
        snapshot = decode(data, key=self._key, max_bytes=MOST)
        if snapshot.base is None:
            return self._read_full(parcel.slot, snapshot)
        return self._read_changes(snapshot)

    def _note_gap(self, base: Mark) -> None:
        """Tell, once, that what comes between what was read and a change is not there."""
        if self._mark is not None and self._mark != self._gap and not self._is_past(base):
            self._gap = self._mark
            raise SnapshotError("a change is missing: the next full snapshot mends it")

    def _is_past(self, mark: Mark) -> bool:
        known = self._mark
        return known is not None and all(at <= known.get(name, -1) for name, at in mark.items())

    def forget(self) -> None:
        """Go on from the next full snapshot only: the last parcel could not be used."""
        self._mark = None

    def _read_full(self, slot: str, snapshot: Snapshot) -> Published:
        published = _parted(snapshot.state, snapshot.learned_through)
        self.slot, self._mark = slot, snapshot.learned_through
        self._shapes, self._learned = shapes(snapshot.state), published.learned
        return published

    def _read_changes(self, snapshot: Snapshot) -> Changed:
        self._shapes = fitting(self._shapes, snapshot.state)
        self._mark = snapshot.learned_through
        changes = Changes(snapshot.state)
        self._learned = changes.value("learned", self._learned)
        kinds = {name.partition(".")[0] for name in self._shapes if "." in name}
        by_kind = {kind: changes.part(kind) for kind in sorted(kinds)}
        return Changed(by_kind, snapshot.learned_through, self._learned)


class Assembler:
    """The whole state behind the publications, put together as they come: to look at, or compare.

    Attributes
    ----------
    current : Published or None
        The last whole and good publication.
    refused : int
        Publications that were damaged or did not fit.
    """

    def __init__(self, key: bytes | None = None) -> None:
        self.current: Published | None = None
        self.refused = 0
        self._collector, self._reader = Collector(), Reader(key)

    def take(self, key: bytes | None, value: bytes | None) -> bool:
        """Take one record; True if it completed a publication that is now current."""
        try:
            parcel = self._collector.take(key, value)
            publication = None if parcel is None else self._reader.read(parcel)
            if isinstance(publication, Changed):
                publication = self._applied(publication)
        except (PartError, SnapshotError, StateError):
            self.refused += 1
            return False
        self.current = publication or self.current
        return publication is not None

    def _applied(self, changed: Changed) -> Published:
        assert self.current is not None
        states = {
            kind: apply(self.current.states.get(kind, {}), changes.entries)
            for kind, changes in changed.changes.items()
        }
        return Published(states, changed.through, changed.learned)


def _records(prefix: str, data: bytes) -> list[tuple[bytes, bytes]]:
    return [(f"{prefix}/{number}".encode(), part) for number, part in enumerate(split(data))]


def _merged(states: States, learned: int) -> State:
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

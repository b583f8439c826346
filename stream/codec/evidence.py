"""Evidence as records of its topic: what an offer was made from, to be made again.

Rules. The key is the customer's id; the value is a version byte and MessagePack under Zstandard.
Of catalog items the description is left out: no decision reads it. What cannot be packed is a
`TypeError`, and the worker goes on without that evidence. Bytes that are no evidence are a
`ValueError`, never anything else; whoever can write the topic gets nothing run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import cramjam
import msgspec
import numpy as np

from stream.codec.batches.recordbatch import Damaged
from stream.codec.batches.room import into_room
from stream.config import ConfigError, CoreSettings
from stream.decide.witness import Evidence, Named
from stream.decide.world import Models, World
from stream.domain.event import (
    Campaign,
    CatalogItem,
    Click,
    CustomerUpdate,
    Feedback,
    Moment,
    Purchase,
)
from stream.domain.offer import Cause
from stream.models.recommend.recommender import Ranked as Recommended

Packed: TypeAlias = Any
"""What MessagePack has; a value of a class of ours is a map of one, by the class's name."""

VERSION: Final = b"\x01"
LARGEST: Final = 4 << 20  # bytes of evidence, inflated; the usual has some ten thousand
LEVEL: Final = 1
MOST_KEPT: Final = 1 << 14  # items: popular ones are candidates again and again
_ITEMS: Final[dict[str, tuple[CatalogItem, msgspec.Raw]]] = {}
_LAST: Final[list[Any]] = []  # what was packed last, and its bytes: one thread decides
_KINDS: Final = {
    kind.__name__: kind
    for kind in (
        Campaign, CatalogItem, Cause, Click, CustomerUpdate, Feedback, Moment, Purchase,
        Recommended,
    )
}  # fmt: skip


class _Shared(msgspec.Struct, frozen=True, array_like=True):
    """What many decisions have in common."""

    settings: CoreSettings
    campaigns: Packed
    newest: Packed
    learning: bool
    segment_names: tuple[str, ...]
    versions: tuple[tuple[str, int], ...]
    learned_through: int


class _SharedAndOwn(_Shared, frozen=True, array_like=True):
    """The same, with the names of the shop's own extensions, where there are any."""

    rules: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class _Content(msgspec.Struct, frozen=True, array_like=True):
    offer_id: str
    cause: Packed
    record: bytes
    event: Packed
    now: int
    shared: msgspec.Raw
    left: dict[str, int]
    answers: list[tuple[str, Packed]]


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(_Content).decode
_decode_shared: Final = msgspec.msgpack.Decoder(_SharedAndOwn).decode


def encode_evidence(offer_id: str, evidence: Evidence) -> tuple[bytes, bytes]:
    """The key and the value of an offer's evidence.

    Raises
    ------
    TypeError
        If an answer is of a kind that nobody packs.
    """
    record, event, cause, now, world, answers = evidence
    content = _Content(
        offer_id,
        pack(cause),
        record,
        pack(event),
        now,
        _shared(world),
        dict(world.left),
        [(name, pack(answer)) for name, answer in answers],
    )
    packed = bytes(cramjam.zstd.compress(_encode(content), level=LEVEL))
    return event.customer_id.encode(), VERSION + packed


def decode_evidence(value: bytes) -> tuple[str, Evidence]:
    """The id of an offer, and what it was made from, in a record's value.

    Raises
    ------
    ValueError
        If it is none.
    """
    if value[:1] != VERSION:
        raise ValueError("evidence of another version")
    try:
        plain = into_room(cramjam.zstd.decompress_into, value[1:], LARGEST)
        content = _decode(plain)
        event, shared = unpack(content.event), _decode_shared(content.shared)
        models = Models(
            segment_names=shared.segment_names,
            versions=shared.versions,
            learned_through=shared.learned_through,
        )
        world = World(
            settings=shared.settings,
            campaigns=unpack(shared.campaigns),
            models=models,
            newest=unpack(shared.newest),
            learning=shared.learning,
            left=content.left,
            rules=tuple(map(Named, shared.rules)),
            sources=tuple(map(Named, shared.sources)),
        )
        answers = [(name, unpack(answer)) for name, answer in content.answers]
        cause = unpack(content.cause)
        evidence = Evidence(content.record, event, cause, content.now, world, answers)
        return content.offer_id, evidence
    except (
        Damaged, ConfigError, msgspec.MsgspecError, KeyError, TypeError, AttributeError,
        OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise ValueError(f"no evidence: {type(error).__name__}") from error


def _shared(world: World) -> msgspec.Raw:
    """What many decisions have in common, packed once for each models and campaigns."""
    said, own = _said(world.models), _own(world)
    known = (world.settings, world.campaigns, world.newest, world.learning, said, own)
    if len(_LAST) == 2 and all(a is b or a == b for a, b in zip(_LAST[0], known, strict=True)):
        return _LAST[1]  # type: ignore[no-any-return]
    told = world.settings, pack(world.campaigns), pack(world.newest), world.learning, *said
    shared = _SharedAndOwn(*told, *own) if any(own) else _Shared(*told)
    packed = msgspec.Raw(_encode(shared))
    _LAST[:] = known, packed
    return packed


def _own(world: World) -> tuple[tuple[str, ...], ...]:
    """The names of the shop's own extensions, in the order in which they are asked."""
    return tuple([each.name for each in world.rules]), tuple([s.name for s in world.sources])


def _said(models: Models) -> tuple[Any, ...]:
    """What models say of themselves."""
    return models.segment_names, models.versions, models.learned_through


def pack(value: Any) -> Packed:
    """A value as MessagePack can have it.

    >>> unpack(pack([(1, "a"), {"k": None}, 0.5])) == [(1, "a"), {"k": None}, 0.5]
    True
    >>> unpack(pack(CatalogItem("p1", price=5)))
    CatalogItem(item_id='p1', name=None, category=None, brand=None, price=5, currency=None, \
margin=None, stock=None, added=None, text=None, image=None, link=None)
    """
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    kind = type(value)
    if kind is CatalogItem:
        return _item(value)
    if _KINDS.get(kind.__name__) is kind:
        return {kind.__name__: value}
    if kind is tuple:
        return {"tuple": [pack(each) for each in value]}
    if kind is list:
        if value and all(type(each) is Recommended for each in value):
            return {"recommended": value}
        return [pack(each) for each in value]
    if isinstance(value, np.ndarray) and value.ndim == 1:
        return {"array": [value.dtype.str, value.tolist()]}
    if isinstance(value, np.generic):
        return {"number": [value.dtype.str, value.item()]}
    if isinstance(value, Mapping):
        return {"map": [[pack(name), pack(each)] for name, each in value.items()]}
    raise TypeError(f"{kind.__name__} cannot be packed")


def unpack(packed: Packed) -> Any:
    """The value that was packed.

    Raises
    ------
    KeyError, TypeError, msgspec.MsgspecError
        If it is none.
    """
    if isinstance(packed, msgspec.Raw):  # packed, and not yet written
        packed = msgspec.msgpack.decode(packed)
    if isinstance(packed, list):
        return [unpack(each) for each in packed]
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "tuple":
        return tuple([unpack(each) for each in content])
    if kind == "map":
        return {unpack(name): unpack(each) for name, each in content}
    if kind in ("array", "number"):
        dtype = np.dtype(content[0])
        if dtype.kind not in "biuf":
            raise TypeError("an array of no numbers")
        return np.array(content[1], dtype) if kind == "array" else dtype.type(content[1])
    if kind == "recommended":
        return msgspec.convert(content, list[Recommended])
    return msgspec.convert(content, _KINDS[kind])


def _item(item: CatalogItem) -> Packed:
    """A catalog item without its description, packed once as long as it stays as it is."""
    known = _ITEMS.get(item.item_id)
    if known is None or known[0] is not item:
        if len(_ITEMS) >= MOST_KEPT:
            _ITEMS.clear()
        raw = msgspec.Raw(_encode({"CatalogItem": item._replace(text=None)}))
        known = _ITEMS[item.item_id] = item, raw
    return known[1]

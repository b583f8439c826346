"""Examples: what a decision teaches the learner, with the features that it had.

Their bounds are those of what workers teach; decoding holds them, so that whatever else stands in
the log of examples is no example.
"""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import Meta

from stream.decide.rows.features import FEATURES, PORTRAIT
from stream.domain.value import Value

Time = Annotated[int, Meta(ge=0, lt=4_102_444_800_000)]
"""Milliseconds since the epoch, before 2100."""
Item = Annotated[str, Meta(max_length=128)]
Label = Annotated[str, Meta(max_length=256)]
Segment = Annotated[int, Meta(ge=0, lt=1_024)]
Axis = Annotated[float, Meta(ge=-1e9, le=1e9)]
_ROW, _AXES, _LINES, _LOOK_BACK = 4 * len(FEATURES), len(PORTRAIT), 500, 32


class Labelled(Value, frozen=True):
    """An exposure, told when it is (``label`` 0), or its purchase in time (``label`` 1).

    ``waited`` are the ms from the exposure to what is told, and ``features`` are packed; see
    :func:`stream.decide.rows.features.unpack`. Without ``waited`` it is a whole label, told once,
    when nothing could change it any more: so it was before there were two.
    """

    time: Time
    label: Annotated[int, Meta(ge=0, le=1)]
    segment: Segment | None
    features: Annotated[bytes, Meta(min_length=_ROW, max_length=_ROW)]
    waited: Annotated[int, Meta(ge=0, lt=4_102_444_800_000)] | None = None


class SessionStep(Value, frozen=True):
    """One step of a session: ``item`` after ``previous`` (oldest first) of the same session."""

    time: Time
    session: Annotated[int, Meta(ge=0, le=2**63 - 1)]
    segment: Segment | None
    item: Item
    previous: Annotated[tuple[Item, ...], Meta(max_length=_LOOK_BACK)]
    category: Label | None
    brand: Label | None
    price: Annotated[int, Meta(ge=0, lt=2**53)] | None


class Basket(Value, frozen=True):
    """The items of one order, each once."""

    time: Time
    segment: Segment | None
    items: Annotated[tuple[Item, ...], Meta(max_length=_LINES)]


class Portrait(Value, frozen=True):
    """A customer's vector for segmentation; see :func:`stream.decide.rows.features.portrait`."""

    time: Time
    vector: Annotated[tuple[Axis, ...], Meta(min_length=_AXES, max_length=_AXES)]


class Trial(Value, frozen=True):
    """A trial of a campaign's variant, told when it begins, and what came of it within its time.

    ``what`` is 0 for its beginning, 1 for the customer's first purchase, of ``spent`` minor units
    of the shop's currency, and 2 for a dismissal. ``edition`` and ``code`` are of
    :mod:`stream.models.experiments.trials`.
    """

    time: Time
    campaign_id: Item
    edition: Annotated[int, Meta(ge=0, lt=2**23)]
    code: Annotated[int, Meta(ge=1, lt=2**31)]
    what: Annotated[int, Meta(ge=0, le=2)]
    spent: Annotated[int, Meta(ge=0, lt=2**53)] = 0


Example: TypeAlias = Labelled | SessionStep | Basket | Portrait | Trial

TRIALS: Final = 4
"""The tag of trials as they travel; see `stream.models.base.packed`."""
_encode: Final = msgspec.msgpack.Encoder().encode


def tell(trial: Trial) -> bytes:
    """The bytes of a trial as it travels.

    >>> tell(Trial(7, "tea", 1, 2, 0)).hex()
    '92049607a374656101020000'
    """
    return _encode((TRIALS, trial))


def framed(count: int, written: bytes) -> bytes:
    r"""The examples of one event, fewer than 65,536, as a list of MessagePack.

    ``written`` are their bytes, one behind the other.

    >>> framed(2, b"\x01\x02")
    b'\x92\x01\x02'
    """
    if count < 16:
        return bytes((0x90 | count,)) + written
    return b"\xdc" + count.to_bytes(2, "big") + written

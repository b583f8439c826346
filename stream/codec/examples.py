"""Examples as they travel to the learner: MessagePack, many packed into one record.

A record of the examples topic holds what one batch of one partition taught: the partition, and
for each event that taught something its source, its offset and the bytes of its examples. The
offsets let the learner drop what it has learned already.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import accumulate
from typing import Annotated, Any, Final, NamedTuple

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from stream.decide.example import Basket, Example, Labelled, Portrait, SessionStep, Trial
from stream.domain.event import Source
from stream.learn.columns import ExampleColumns, Labels
from stream.models.base.kernel import COMPILED
from stream.models.base.names import Codes, Names
from stream.models.base.packed import ROOM, columns_of
from stream.models.recommend.itemfacts import EventFacts
from stream.models.recommend.steps import Steps, starts_of

MOST_PARTITIONS: Final = 1_024
FAR: Final = 1e9  # of a portrait's axes
_KINDS: tuple[type[Any], ...] = (Labelled, SessionStep, Basket, Portrait, Trial)
_TAGS = {kind: tag for tag, kind in enumerate(_KINDS)}
_encode = msgspec.msgpack.Encoder().encode
_Tag = Annotated[int, Meta(ge=0, lt=len(_KINDS))]
_decode_tagged = msgspec.msgpack.Decoder(list[tuple[_Tag, msgspec.Raw]]).decode
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_decode_basket = msgspec.msgpack.Decoder(Basket).decode
_decode_trial = msgspec.msgpack.Decoder(Trial).decode
_DECODE = tuple(msgspec.msgpack.Decoder(kind).decode for kind in _KINDS)


class LessonError(Exception):
    """A record of the log of examples that is no lesson: nobody learns it, wherever it is read."""


class EncodedLessons(NamedTuple):
    """The encoded examples of one event; ``offset`` is a stamp of :mod:`stream.domain.stamps`."""

    source: Annotated[int, Meta(ge=0, lt=len(Source))]
    offset: Annotated[int, Meta(ge=0, lt=2**62)]
    examples: bytes


class Lesson(NamedTuple):
    """One record of the examples topic.

    ``settled``, if it is not 0, says that what waits for its step to fill is learned here as it
    is: the learner's word, with the number of examples that it had learned.
    """

    partition: Annotated[int, Meta(ge=-1, lt=MOST_PARTITIONS)]
    taught: tuple[EncodedLessons, ...]
    settled: Annotated[int, Meta(ge=0, lt=2**62)] = 0


_decode_lesson = msgspec.msgpack.Decoder(Lesson).decode


def encode_examples(examples: Sequence[Example]) -> bytes:
    """The examples of one event as bytes.

    >>> decode_examples(encode_examples([Basket(7, None, ("tea", "cup"))]))
    [Basket(time=7, segment=None, items=('tea', 'cup'))]
    """
    return _encode([(_TAGS[type(example)], example) for example in examples])


def decode_examples(data: bytes) -> list[Example]:
    """The examples that ``encode_examples`` wrote.

    Raises
    ------
    LessonError
        If the bytes are no examples, or hold what no worker teaches.
    """
    try:
        return [_DECODE[tag](fields) for tag, fields in _decode_tagged(data)]
    except _FAULTS as error:
        raise LessonError(f"no examples: {type(error).__name__}") from error


def read_examples(payloads: Sequence[bytes], names: Names) -> ExampleColumns:
    """The examples of several events as columns, in codes of ``names``.

    Raises
    ------
    LessonError
        As by `decode_examples`.
    """
    columns = None
    if COMPILED:
        with suppress(*_FAULTS):  # of an order; to be met again below
            columns = _columns(payloads, names)
    if columns is not None:
        return columns
    return ExampleColumns.of(
        (one for payload in payloads for one in decode_examples(payload)), names
    )


def _columns(payloads: Sequence[bytes], names: Names) -> ExampleColumns | None:
    """Examples read by kernels; None if they are out of the ordinary."""
    data = bytearray().join((*payloads, bytes(ROOM)))
    found = columns_of(data, list(accumulate(map(len, payloads))), names)
    if found is None:
        return None
    packed, codes = found
    examples, steps, _, labels, portraits, baskets, newest, n_trials = packed.tally.tolist()
    vectors = packed.portraits[:portraits].view(np.float64)
    if not (abs(vectors) <= FAR).all():
        return None
    orders = [
        (before, _decode_basket(data[first:last]))
        for first, last, before in packed.baskets[:baskets].tolist()
    ]
    trials = [_decode_trial(data[first:last]) for first, last in packed.trials[:n_trials].tolist()]
    times, known, segments, waits = packed.labels[:, :labels]
    return ExampleColumns(
        examples,
        max([newest, *(basket.time for _, basket in orders), *(trial.time for trial in trials)]),
        *_steps(packed.steps[:, :steps], codes),
        Labels(times, known, segments, waits, packed.rows[:labels]),
        orders,
        vectors,
        trials,
    )


def _steps(columns: NDArray[np.int64], codes: Codes) -> tuple[Steps, EventFacts]:
    """Steps of what was read of them, and what they say of their items."""
    times, sessions, segments, prices, before = columns
    starts = starts_of(before)
    items = starts[:-1] + 3 * np.arange(len(before))
    labels = items + before + 1
    others = np.ones(len(codes), np.bool_)
    others[items] = others[labels] = others[labels + 1] = False
    steps = Steps(sessions, segments.astype(np.int32), times, codes[items], starts, codes[others])
    return steps, EventFacts(steps.items, codes[labels], codes[labels + 1], prices)


def encode_lesson(lesson: Lesson) -> bytes:
    """A record of the examples topic."""
    return _encode(lesson)


def decode_lesson(data: bytes) -> Lesson:
    """The record that ``encode_lesson`` wrote.

    Raises
    ------
    LessonError
        If it is another.
    """
    try:
        return _decode_lesson(data)
    except _FAULTS as error:
        raise LessonError(f"no lesson: {type(error).__name__}") from error

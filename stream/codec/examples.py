"""Examples as they travel to the learner: MessagePack, many packed into one record.

A record of the examples topic holds what one batch of one partition taught: the partition, and
for each event that taught something its source, its offset and the bytes of its examples. The
offsets let the learner drop what it has learned already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from stream.core.example import Basket, Example, Labelled, Portrait, Step

_KINDS: tuple[type[Any], ...] = (Labelled, Step, Basket, Portrait)
_TAGS = {kind: tag for tag, kind in enumerate(_KINDS)}
_encode = msgspec.msgpack.Encoder().encode
_decode_tagged = msgspec.msgpack.Decoder(list[tuple[int, msgspec.Raw]]).decode
_DECODE = tuple(msgspec.msgpack.Decoder(kind).decode for kind in _KINDS)


class Taught(NamedTuple):
    """The encoded examples of one event."""

    source: int
    offset: int
    examples: bytes


class Lesson(NamedTuple):
    """One record of the examples topic.

    ``settled``, if it is not 0, says that what waits for its step to fill is learned here as it
    is: the learner's word, with the number of examples that it had learned.
    """

    partition: int
    taught: tuple[Taught, ...]
    settled: int = 0


_decode_lesson = msgspec.msgpack.Decoder(Lesson).decode


def encode_examples(examples: Sequence[Example]) -> bytes:
    """The examples of one event as bytes.

    >>> decode_examples(encode_examples([Basket(7, None, ("tea", "cup"))]))
    [Basket(time=7, segment=None, items=('tea', 'cup'))]
    """
    return _encode([(_TAGS[type(example)], example) for example in examples])


def decode_examples(data: bytes) -> list[Example]:
    """The examples that ``encode_examples`` wrote."""
    return [_DECODE[tag](fields) for tag, fields in _decode_tagged(data)]


def encode_lesson(lesson: Lesson) -> bytes:
    """A record of the examples topic."""
    return _encode(lesson)


def decode_lesson(data: bytes) -> Lesson:
    """The record that ``encode_lesson`` wrote."""
    return _decode_lesson(data)

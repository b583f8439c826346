"""Association rules as records of their compacted topic, by ``schemas/rules/v1.json``.

Rules: the key is the antecedent as a JSON list, an arrow, and the consequent as a JSON text; a
record without a value says that the rule no longer stands. Measures are rounded to six places.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
import orjson
from msgspec import Meta

from stream.learn.rulebook import Key, Said
from stream.models.association import Rule

ARROW: Final = "→"
PLACES: Final = 6

Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Count = Annotated[int, Meta(ge=0)]


class _Counts(msgspec.Struct):
    both: Count


class _Window(msgspec.Struct):
    baskets: Count


class _Told(msgspec.Struct):
    """What a reader needs of a rule's record."""

    antecedent: tuple[str, ...]
    consequent: str
    support: Share
    confidence: Share
    lift: Annotated[float, Meta(ge=0.0, le=1e15)]
    counts: _Counts
    window: _Window


_decode = msgspec.json.Decoder(_Told).decode


def encode_key(key: Key) -> bytes:
    """The key of a rule's records.

    >>> encode_key((("milk", "tea"), "sugar")).decode()
    '["milk","tea"]→"sugar"'
    """
    antecedent, consequent = key
    return orjson.dumps(list(antecedent)) + ARROW.encode() + orjson.dumps(consequent)


def encode_rule(said: Said, learned: int) -> bytes:
    """The value of a rule's record; ``learned`` is how many examples its learner had learned."""
    rule, baskets = said
    antecedent = round(rule.held / rule.confidence)
    return orjson.dumps(
        {
            "schema_version": 1,
            "antecedent": list(rule.antecedent),
            "consequent": rule.consequent,
            "support": round(rule.support, PLACES),
            "confidence": round(rule.confidence, PLACES),
            "lift": round(rule.lift, PLACES),
            "counts": {
                "both": rule.held,
                "antecedent": antecedent,
                "consequent": round(rule.confidence * baskets / rule.lift),
            },
            "window": {"baskets": baskets},
            "learned_through": learned,
        }
    )


def decode_rule(value: bytes) -> Said:
    """The rule that `encode_rule` wrote, its measures as they were rounded.

    Raises
    ------
    ValueError
        If the bytes are not such a rule.
    """
    try:
        told = _decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a rule: {type(error).__name__}") from None
    measures = told.support, told.confidence, told.lift
    rule = Rule(told.antecedent, told.consequent, *measures, told.counts.both)
    return Said(rule, told.window.baskets)

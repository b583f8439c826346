"""Association rules as records of their compacted topic, by ``schemas/rules/v1.json``.

Rules: the key is the antecedent as a JSON list, an arrow, and the consequent as a JSON text; a
record without a value says that the rule no longer stands. Measures are rounded to six places.
"""

from __future__ import annotations

from typing import Any, Final

import orjson

from stream.core.rulebook import Key, Said
from stream.models.rules import Rule

ARROW: Final = "→"
PLACES: Final = 6


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
    data: Any = orjson.loads(value)
    try:
        rule = Rule(
            tuple(data["antecedent"]),
            data["consequent"],
            data["support"],
            data["confidence"],
            data["lift"],
            data["counts"]["both"],
        )
        return Said(rule, data["window"]["baskets"])
    except (KeyError, TypeError) as error:
        raise ValueError(f"not a rule: {error}") from None

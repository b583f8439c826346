"""Decisions become the JSON of the topic ``decisions``, and a batch's effects their bytes.

Rules. The same decision always gives the same bytes, by ``schemas/decisions/v1.json``. Beyond the
customer's id it holds nothing of the customer's: no profile, no item.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from stream.codec.offers import TOPICS, encode_offer, rfc3339
from stream.decide.decision import Decision
from stream.domain.offer import Assigned, Offer, Recall
from stream.domain.stamps import offset_of


class _Decision(msgspec.Struct, gc=False):
    """A decision, field by field as in the contract."""

    schema_version: int
    decision_id: str
    customer_id: str
    event_id: str
    source: dict[str, Any]
    decided_at: str
    arms: dict[str, str]
    outcome: str
    passed: list[dict[str, str]]
    models: dict[str, int]
    learned_through: int
    share: float
    offer_id: str | msgspec.UnsetType = msgspec.UNSET
    campaign_id: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    unnamed: int | msgspec.UnsetType = msgspec.UNSET
    variant: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


_encode: Final = msgspec.json.Encoder().encode


def encode_decision(decision: Decision) -> bytes:
    """Return the JSON of a decision, the same bytes for the same value."""
    cause, denial = decision.cause, decision.denial
    return _encode(
        _Decision(
            1,
            decision.decision_id,
            decision.customer_id,
            decision.event_id,
            {
                "topic": TOPICS[cause.source],
                "partition": cause.partition,
                "offset": offset_of(cause.offset),
            },
            rfc3339(decision.time),
            dict(decision.arms),
            "offer" if denial is None else "refused",
            [{"campaign_id": name, "reason": reason.value} for name, reason in decision.passed],
            dict(decision.models),
            decision.learned_through,
            decision.share,
            decision.offer_id or msgspec.UNSET,
            decision.campaign_id or msgspec.UNSET,
            msgspec.UNSET if denial is None else denial.value,
            decision.unnamed or msgspec.UNSET,
            _variant(decision.variant) if decision.variant else msgspec.UNSET,
        )
    )


def _variant(variant: Assigned) -> dict[str, Any]:
    told = {"name": variant.name, "probability": variant.probability}
    return told | ({"stopped": list(variant.stopped)} if variant.stopped else {})


def encode_said(said: Offer | Recall | Decision) -> bytes:
    """Return the JSON of what a decision sends out: an offer, a recall, or a word of itself."""
    return encode_decision(said) if isinstance(said, Decision) else encode_offer(said)

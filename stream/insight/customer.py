"""What is known of one customer, put together from a record, the offers and the decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from msgspec.structs import asdict

from stream.client.lookup import Found
from stream.client.offer import Offer, Recall
from stream.config import CoreSettings
from stream.decide.decision import is_sampled
from stream.decide.ledger import Ledger
from stream.decide.policy import arm_of, customer_denial
from stream.decide.rows.record import View, record_of
from stream.decide.rows.state import CustomerState, Permission
from stream.decide.world import World
from stream.domain.event import Source

LAST: Final = 5  # refusals that are told


def stream_time_of(ledgers: Sequence[Ledger], state: CustomerState) -> int:
    """That of the customer's partition in ms, where the ledgers of others were not read."""
    return max([ledger.stream_time for ledger in ledgers] + [state.profile.last_seen])


def known_of(
    customer_id: str,
    state: CustomerState,
    core: CoreSettings,
    now: int,
    found: Found,
    decided: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """What ``offerstream customer --json`` tells.

    Parameters
    ----------
    customer_id, state
    core
        The settings of the worker.
    now
        As of when, in ms.
    found
        The customer's offers then.
    decided
        What was told of the customer's moments, oldest first, as ``schemas/decisions`` says.
    """
    made = [said for said in found.made if isinstance(said, Offer)]
    gone = {said.offer_id: said.reason for said in found.made if isinstance(said, Recall)}
    named = [offer.segment for offer in made if offer.segment is not None]
    segment = state.profile.segment
    name = next((s.name for s in reversed(named) if s.id == segment), None)
    return {
        **described(customer_id, state),
        "at": now,
        "segment": None if segment is None else {"id": segment, "name": name},
        "arm": arm_of(customer_id, core.seed, core.policy),
        "refused_now": _refused(customer_id, state, core, now),
        "permission": _permission(state.permission),
        "dismissed": state.delivery.dismissed,
        "open_offers": [orjson.loads(value) for value in found.open],
        "recalled": gone,
        "offers_on_the_log": len(made),
        "decisions_told": is_sampled(customer_id, core.seed, core.decisions_share),
        "last_refusals": [
            {name: one[name] for name in ("decided_at", "event_id", "reason", "passed")}
            for one in decided
            if one["outcome"] == "refused"
        ][: -LAST - 1 : -1],
    }


def _refused(customer_id: str, state: CustomerState, core: CoreSettings, now: int) -> str | None:
    """The first rule that would refuse an offer now, before any campaign is asked."""
    denial = customer_denial(View(record_of(state)), customer_id, now, World(settings=core))
    return None if denial is None else denial.value


def _permission(said: Permission) -> dict[str, Any]:
    profiling = said.profiling, said.profiling_yes, said.profiling_no
    offers = said.offers, said.offers_yes, said.offers_no
    names = ("allowed", "yes", "no")
    return {
        "profiling": dict(zip(names, profiling, strict=True)),
        "offers": dict(zip(names, offers, strict=True)),
    }


def described(customer_id: str, state: CustomerState) -> dict[str, Any]:
    """A customer's record as JSON has it; times in ms, money in minor units."""
    profile, history, permission = state.profile, state.history, state.permission
    return {
        "customer_id": customer_id,
        "stamps": {source.name.lower(): state.stamps[source] for source in Source},
        "consent": {"profiling": permission.profiling, "offers": permission.offers},
        "first_seen": profile.first_seen,
        "last_seen": profile.last_seen,
        "views": profile.views,
        "carts": profile.carts,
        "orders": profile.orders,
        "units": profile.units,
        "refunds": profile.refunds,
        "spent": dict(profile.spent),
        "tastes": {name: round(weight, 3) for name, weight in profile.tastes},
        "segment": profile.segment,
        "traits": {name: fact for name, fact, _ in profile.traits},
        "recent": [asdict(touch) for touch in history.recent],
        "bought": [{"item_id": item, "time": time} for item, time in history.bought],
        "offers": state.delivery.offers,
        "impressions": [offer.shown for offer in state.delivery.made if offer.shown],
        "offers_clicked": state.delivery.offers_clicked,
        "dismissed": state.delivery.dismissed,
    }

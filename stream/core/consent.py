"""Consent: what the customer last said, and what is forgotten when it is withdrawn."""

from __future__ import annotations

from stream.core.event import Event
from stream.core.state import CustomerState, Delivery, Permission


def update(permission: Permission, event: Event) -> Permission:
    """Take over what the event says of consent; what it does not mention stays."""
    said = event.consent
    if said is None:
        return permission
    return Permission(
        permission.profiling if said.profiling is None else said.profiling,
        permission.offers if said.offers is None else said.offers,
    )


def unprofiled(state: CustomerState) -> CustomerState:
    """The record of a customer who may not be profiled: stamps, consent, and nothing learned.

    What caps go by stays for its day: they protect the customer, whose saying no and then yes
    again must not let them be passed.
    """
    made = state.delivery
    return CustomerState(
        stamps=state.stamps,
        admission=state.admission,
        permission=state.permission,
        delivery=Delivery(last_offer=made.last_offer, made=made.made, impressions=made.impressions),
        effects=state.effects,
    )

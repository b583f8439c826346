"""Lessons: what an applied event teaches the learner, beside labels.

A click is one step of a session, an order is a basket, and a customer who starts a session or
buys is a portrait for segmentation. Customers appear only as hashes.
"""

from __future__ import annotations

from stream.core.event import REMOVE_FROM_CART, Click, Event, Purchase, Trade
from stream.core.example import Basket, Example, Portrait, Step
from stream.core.features import portrait
from stream.core.history import session_items
from stream.core.state import CustomerState, History
from stream.models.sources import LOOK_BACK

WINDOW = LOOK_BACK


def lessons(state: CustomerState, event: Event, now: int) -> tuple[Example, ...]:
    """The examples of one event, given the state after it."""
    if isinstance(event, Click):
        if event.action is REMOVE_FROM_CART:
            return ()
        step = session_step(state.history, event, state.profile.segment)
        if state.history.session_clicks > 1:
            return (step,)
        return (step, Portrait(event.time, portrait(state, now)))
    if isinstance(event, Purchase) and event.trade is Trade.PURCHASE:
        items = tuple(dict.fromkeys(line.item_id for line in event.lines))
        basket = Basket(event.time, state.profile.segment, items)
        return (basket, Portrait(event.time, portrait(state, now)))
    return ()


def turning_point(state: CustomerState, event: Event) -> bool:
    """Whether the event can move a customer to another segment: a new session, or an order."""
    if isinstance(event, Click):
        return state.history.session_clicks <= 1
    return isinstance(event, Purchase)


def session_step(history: History, event: Click, segment: int | None = None) -> Step:
    """The step that a click is, given the history after it."""
    items = session_items(history)
    previous = items[:-1] if items and items[-1] == event.item_id else items
    return Step(
        event.time,
        history.session,
        segment,
        event.item_id,
        previous[-WINDOW:],
        event.category,
        event.brand,
        event.price,
    )

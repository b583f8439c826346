"""What a customer touched and bought lately, and the session that is open.

Rules: lists are ordered by time and then item, whatever the order of arrival, so that they are
a function of the events alone; a session ends after a gap of inactivity, or when the shop names
another one; each list is bounded and forgets its oldest.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.config import CoreSettings
from stream.core.event import Action, Click, Event, Purchase, Trade
from stream.core.hashing import identity
from stream.core.state import History, Touch

VIEWED, CARTED = 1, 2


def update(history: History, event: Event, settings: CoreSettings) -> History:
    """Fold one event into the history."""
    if isinstance(event, Click):
        return _clicked(_enter(history, event, settings), event, settings)
    if isinstance(event, Purchase) and event.trade is Trade.PURCHASE:
        lines = ((line.item_id, event.time) for line in event.lines)
        bought = _latest((*history.bought, *lines), settings.recent_items)
        return replace(history, bought=bought)
    return history


def session_items(history: History) -> tuple[str, ...]:
    """The items of the open session, oldest first, repeats kept."""
    return tuple(t.item_id for t in history.recent if t.time >= history.session_start)


def unbought(history: History) -> tuple[Touch, ...]:
    """Items touched and not bought since, newest first, each once."""
    bought = dict(history.bought)
    seen: dict[str, Touch] = {}
    for touch in reversed(history.recent):
        if touch.item_id not in seen and bought.get(touch.item_id, -1) < touch.time:
            seen[touch.item_id] = touch
    return tuple(seen.values())


def _enter(history: History, event: Click, settings: CoreSettings) -> History:
    named = identity(event.customer_id, event.session_id) if event.session_id else 0
    silent = event.time - history.session_last > settings.session_gap * 1000
    renamed = named != 0 and named != history.session
    if history.session and not silent and not renamed:
        return history
    if history.session and event.time < history.session_start:
        return history
    key = named or identity(event.customer_id, event.time)
    return replace(
        history, session=key, session_start=event.time, session_last=event.time, session_clicks=0
    )


def _clicked(history: History, event: Click, settings: CoreSettings) -> History:
    return replace(
        history,
        recent=_touched(history.recent, event, settings.recent_items),
        session_last=max(history.session_last, event.time),
        session_clicks=history.session_clicks + 1,
    )


def _touched(recent: tuple[Touch, ...], event: Click, bound: int) -> tuple[Touch, ...]:
    if event.action is Action.REMOVE_FROM_CART:
        return tuple(replace(t, weight=VIEWED) if t.item_id == event.item_id else t for t in recent)
    weight = CARTED if event.action is Action.ADD_TO_CART else VIEWED
    touch = Touch(event.item_id, event.time, weight)
    if not recent or recent[-1].time < event.time:
        return (*recent[-bound + 1 :], touch)
    return tuple(sorted((*recent, touch), key=lambda t: (t.time, t.item_id, t.weight)))[-bound:]


def _latest(bought: tuple[tuple[str, int], ...], bound: int) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(bought, key=lambda line: (line[1], line[0])))[-bound:]

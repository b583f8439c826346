"""What a customer touched and bought lately, and the session that is open.

Rules: lists are ordered by time and then item, whatever the order of arrival, so that they are
a function of the events alone; a session ends after a gap of inactivity, or when the shop names
another one; each list is bounded and forgets its oldest.
"""

from __future__ import annotations

from msgspec.structs import replace

from stream.config import CoreSettings
from stream.core.event import ADD_TO_CART, REMOVE_FROM_CART, Click, Event, Purchase, Trade
from stream.core.hashing import identity, session_key
from stream.core.state import NEVER, History, Touch

VIEWED, CARTED = 1, 2


def update(history: History, event: Event, settings: CoreSettings) -> History:
    """Fold one event into the history."""
    if isinstance(event, Click):
        return _clicked(history, event, settings)
    if isinstance(event, Purchase) and event.trade is Trade.PURCHASE:
        lines = ((line.item_id, event.time) for line in event.lines)
        bought = _latest((*history.bought, *lines), settings.recent_items)
        return replace(history, bought=bought)
    return history


def session_items(history: History) -> tuple[str, ...]:
    """The items of the open session, oldest first, repeats kept."""
    start = history.session_start
    return tuple([touch.item_id for touch in history.recent if touch.time >= start])


def unbought(history: History) -> tuple[Touch, ...]:
    """Items touched and not bought since, newest first, each once."""
    bought = dict(history.bought)
    seen: dict[str, Touch] = {}
    for touch in history.recent[::-1]:
        seen.setdefault(touch.item_id, touch)
    if not bought:
        return tuple(seen.values())
    return tuple([t for t in seen.values() if bought.get(t.item_id, NEVER) < t.time])


def _clicked(history: History, event: Click, settings: CoreSettings) -> History:
    recent, time = _touched(history.recent, event, settings.recent_items), event.time
    named = session_key(event.customer_id, event.session_id) if event.session_id else 0
    if _goes_on(history, named, time, settings):
        last = history.session_last
        return replace(
            history,
            recent=recent,
            session_last=time if time > last else last,
            session_clicks=history.session_clicks + 1,
        )
    return replace(
        history,
        recent=recent,
        session=named or identity(event.customer_id, time),
        session_start=time,
        session_last=time,
        session_clicks=1,
    )


def _goes_on(history: History, named: int, time: int, settings: CoreSettings) -> bool:
    """Whether a click belongs to the open session; one from before its start changes nothing."""
    if not history.session:
        return False
    silent = time - history.session_last > settings.session_gap * 1000
    renamed = named != 0 and named != history.session
    return time < history.session_start or not (silent or renamed)


def _touched(recent: tuple[Touch, ...], event: Click, bound: int) -> tuple[Touch, ...]:
    if event.action is REMOVE_FROM_CART:
        return tuple(replace(t, weight=VIEWED) if t.item_id == event.item_id else t for t in recent)
    weight = CARTED if event.action is ADD_TO_CART else VIEWED
    touch = Touch(event.item_id, event.time, weight)
    if not recent or recent[-1].time < event.time:
        return (*recent[-bound + 1 :], touch)
    return tuple(sorted((*recent, touch), key=lambda t: (t.time, t.item_id, t.weight)))[-bound:]


def _latest(bought: tuple[tuple[str, int], ...], bound: int) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(bought, key=lambda line: (line[1], line[0])))[-bound:]

"""``offerstream explain``: why an offer is what it is, decided again from the log."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
import orjson

from stream.cli.options import settings_option
from stream.cli.progress import gauge
from stream.config import Settings

if TYPE_CHECKING:
    from stream.decide.retelling import Considered
    from stream.insight.explaining import Explanation

_SOURCES = {
    "bought_together": "often bought together with {}",
    "viewed_together": "often viewed together with {}",
    "similar_sessions": "customers with similar sessions looked at it",
    "viewed_not_bought": "viewed and not bought yet",
    "segment_trending": "popular among similar customers",
    "trending": "popular right now",
    "new": "new in the shop",
}
_SHOWN = 8


@click.command
@settings_option
@click.argument("offer_id")
@click.option("--customer", metavar="ID", help="Whose it is: only that partition is read.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with all candidates.")
def explain(settings: Settings, offer_id: str, customer: str | None, as_json: bool) -> None:
    """Decide OFFER_ID again from the log, and show what led to it.

    The exit code is 0 if that gives the very bytes that were sent, 1 if not.

    \b
    offerstream explain d1e65ee0b9…
    offerstream explain d1e65ee0b9… --customer c-7 --json
    """
    from stream.insight.explaining import Verdict
    from stream.insight.explaining import explain as find

    with gauge("reading the log", None, "records", quiet=as_json) as progress:
        found = find(settings, offer_id, customer, progress.show)
    if as_json:
        click.echo(orjson.dumps(_document(found), option=orjson.OPT_INDENT_2))
    else:
        click.echo("\n".join(_words(found)))
    sys.exit(0 if found.verdict is Verdict.SAME else 1)


def _document(found: Explanation) -> dict[str, Any]:
    told = found.told
    return {
        "offer": orjson.loads(found.value),
        "recalled": found.recalled,
        "verdict": found.verdict,
        "why": found.why or None,
        "campaigns": None if told is None else [one._asdict() for one in told.campaigns],
        "candidates": None if told is None else [one._asdict() for one in told.considered],
    }


def _words(found: Explanation) -> list[str]:
    offer = orjson.loads(found.value)
    off = f", {offer['discount_percent']} % off" if offer["discount_percent"] else ""
    source = offer["source"]
    lines = [
        f"Offer {offer['offer_id']} to {offer['customer_id']}, made at {offer['issued_at']}, open "
        f"until {offer['expires_at']}{off}.",
        _verdict(found),
    ]
    if found.recalled:
        lines.append(f"It was recalled: {found.recalled}.")
    place = f"record {source['offset']} of {source['topic']}, partition {source['partition']}"
    trigger = offer.get("trigger")
    if trigger:
        lines.append(
            f"No event of the customer's began it: its time came at {trigger['due_at']}, and "
            f"passed with {place}."
        )
    else:
        lines.append(f"It answers {place}{_event(found)}.")
    segment = offer["segment"]
    if segment:
        lines.append(f"The customer was in segment {segment['id']}, {segment.get('name') or '–'}.")
    lines.append(_campaigns(found, offer["campaign_id"]))
    lines.append(
        f"The customer is in the arm {offer['arm']!r}; this slate was drawn with probability "
        f"{offer['assignment_probability']:g}"
        + (", to learn of its last item." if offer["explored"] else ".")
    )
    lines += _variant(offer.get("variant"))
    lines += _items(found, offer)
    models = ", ".join(f"{name} {version}" for name, version in offer["models"].items())
    lines.append(f"Models: {models or 'none yet'}; {offer['learned_through']:,} examples learned.")
    return lines


def _variant(told: dict[str, Any] | None) -> list[str]:
    if told is None:
        return []
    kept = "a trial began with it" if told["begins"] else "no trial began with it"
    lines = [
        f"Its campaign's variant {told['name']!r} was chosen with probability "
        f"{told['probability']:g}; {kept}."
    ]
    if told.get("stopped"):
        lines.append(f"Stopped, since they hurt: {', '.join(map(repr, told['stopped']))}.")
    return lines


def _verdict(found: Explanation) -> str:
    if found.verdict == "same":
        return "Decided again from the log, it is the same, byte for byte."
    if found.verdict == "different":
        return f"Decided again from the log, it is NOT the same: {found.why}."
    return f"It cannot be decided again: {found.why}."


def _event(found: Explanation) -> str:
    if found.evidence is None:
        return ""
    event = found.evidence.event
    action = getattr(event, "action", None) or getattr(event, "trade", None)
    item = getattr(event, "item_id", None)
    return f": {action}{f' of {item}' if item else ''}" if action else ""


def _campaigns(found: Explanation, campaign_id: str) -> str:
    passed = [] if found.told is None else [c for c in found.told.campaigns if c.denial]
    if not passed:
        return f"Campaign {campaign_id!r} was the first in line."
    names = ", ".join(f"{one.campaign_id!r} ({one.denial})" for one in passed)
    return f"Campaign {campaign_id!r} was taken; before it stood {names}, with no offer to make."


def _items(found: Explanation, offer: dict[str, Any]) -> list[str]:
    if found.told is None:
        return [
            f"  {place}. {item.get('name') or item['product_id']}: {item['reason']}; "
            f"P(purchase) {item['score']:.4f}"
            for place, item in enumerate(offer["items"], 1)
        ]
    considered = found.told.considered
    offered = sorted((c for c in considered if c.place), key=lambda c: c.place or 0)
    lines = ["In it (score = P(purchase) × relevance × what a sale earns):"]
    lines += [f"  {one.place}. {_scored(one)}" for one in offered]
    left = [c for c in considered if not c.place and c.denial is None]
    denied = [c for c in considered if c.denial is not None]
    if left:
        lines.append(f"Not among the best {len(offered)}:")
        lines += [f"  {_scored(one)}" for one in left[:_SHOWN]]
    if len(left) > _SHOWN:
        lines.append(f"  and {len(left) - _SHOWN} more (--json shows all)")
    if denied:
        lines.append("Not allowed:")
        lines += [
            f"  {_named(one)}: {str(one.denial).replace('_', ' ')}" for one in denied[:_SHOWN]
        ]
    if len(denied) > _SHOWN:
        lines.append(f"  and {len(denied) - _SHOWN} more (--json shows all)")
    return lines


def _scored(one: Considered) -> str:
    reason = _SOURCES.get(one.origin, one.origin).format(one.because or "what was seen")
    worth = 0.0 if one.worth is None else one.worth
    return (
        f"{_named(one)}: {one.score:,.2f} = {one.propensity:.4f} × {one.relevance:.3f} × "
        f"{worth:,.0f}; {reason}"
    )


def _named(one: Considered) -> str:
    return f"{one.name} ({one.item_id})" if one.name else one.item_id

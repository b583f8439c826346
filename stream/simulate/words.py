"""The demo in words: one plain line at a time, and the summary at the end."""

from __future__ import annotations

from datetime import UTC, datetime

from stream.simulate.scene import Scene, ShopperGroup, ShownOffer, Uplift

REASONS = {
    "consent": "no consent",
    "holdout": "held out to compare",
    "frequency_cap": "enough for one day",
    "offer_gap": "had one just now",
    "dismissed": "dismissed one lately",
    "quiet_hours": "quiet hours",
    "no_campaign": "no campaign for them",
    "no_candidate": "nothing to offer yet",
    "on_screen": "nothing but what they are looking at",
    "bought_already": "bought already",
    "item_dismissed": "dismissed it",
    "out_of_stock": "out of stock",
    "not_in_campaign": "not in the campaign",
    "too_alike": "too much of one kind",
    "low_propensity": "would hardly buy",
    "campaign_paused": "the campaign is paused",
    "campaign_not_running": "not the campaign's time",
    "campaign_quiet_hours": "the campaign's quiet hours",
    "audience": "not for them",
    "campaign_dismissed": "dismissed the campaign",
    "campaign_cap": "enough of the campaign",
    "budget": "the budget is used up",
    "not_in_strategy": "nothing of the strategy",
    "margin_floor": "would cost more than it earns",
    "low_value": "would hardly earn",
    "decode": "not JSON",
    "schema": "breaks the schema",
    "oversize": "too large",
    "schema_version": "unknown schema version",
    "value_range": "value out of range",
    "future_time": "from the future",
    "key_mismatch": "key is not the customer",
    "partition": "another partition's customer",
    "null_key": "no key",
    "tombstone": "no value",
    "unreadable": "damaged bytes",
    "unknown_schema": "no such schema",
    "internal": "a fault of ours",
}
"""What the engine's reasons mean, for people."""

NEXT = (
    ("offerstream demo --seconds 120 --customers 5000", "watch it learn for longer"),
    ("offerstream replay FILE --mapping retailrocket", "your own shop's log, no broker needed"),
    ("offerstream evaluate --help", "measure the models on a file"),
    ("offerstream config show", "every setting, and why it is as it is"),
    ("docker compose up", "Kafka, two workers, these shoppers, Prometheus"),
)
"""What to try after the demo."""


def clock(now: int) -> str:
    """The shop's time: weekday, hour and minute.

    >>> clock(1_760_000_000_000)
    'Thu 08:53'
    """
    return f"{datetime.fromtimestamp(now / 1000, UTC):%a %H:%M}"


def milliseconds(seconds: float | None) -> str:
    """A short time for people.

    >>> milliseconds(0.0421), milliseconds(2.5), milliseconds(None)
    ('42 ms', '2.5 s', '–')
    """
    if seconds is None:
        return "–"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


def money(minor: int) -> str:
    """Money for people.

    >>> money(1299)
    '12.99 €'
    """
    return f"{minor / 100:,.2f} €"


def offer_line(offer: ShownOffer) -> str:
    """An offer in one line: for whom, what, why."""
    if not offer.items:
        return f"{offer.customer}: nothing"
    first, more = offer.items[0], len(offer.items) - 1
    less = f" {offer.discount} % off" if offer.discount else ""
    others = f" (+{more} more)" if more else ""
    return f"{offer.customer}:{less} {first.name}{others}, {first.reason}"


def line(scene: Scene) -> str:
    """The scene in one line, for a pipe or a log."""
    rate = scene.event_rates[-1] if scene.event_rates else 0.0
    parts = [
        f"{scene.seconds:5.1f} s",
        f"{scene.events:,} events ({rate:,.0f}/s)",
        f"{scene.offers:,} offers",
        f"event to offer p50 {milliseconds(scene.p50)} p99 {milliseconds(scene.p99)}",
        learned(scene),
    ]
    if scene.latest:
        parts.append(offer_line(scene.latest[0]))
    return " | ".join(parts)


def learned(scene: Scene) -> str:
    """How well the propensity predicts by now."""
    last = scene.learning
    if not last.auc:
        return f"{last.labels:,} labels: too few to judge by"
    return f"AUC {last.auc[-1]:.3f} log loss {last.log_loss[-1]:.3f}"


def points(effect: Uplift) -> str:
    """The difference that offers made, in points of conversion, with its 95 % interval."""
    low, high = effect.low * 100, effect.high * 100
    return f"{effect.difference * 100:+.1f} points ({low:+.1f} to {high:+.1f})"


def verdict(effect: Uplift) -> str:
    """What the comparison with those held out says: no more than its interval allows."""
    if not effect.offered.visits or not effect.held_out.visits:
        return "nobody to compare with yet"
    if effect.low > 0:
        return "offers sell more"
    return "offers sell less" if effect.high < 0 else "too few visits to tell"


def conversion(group: ShopperGroup) -> str:
    """Orders a visit, for people."""
    share = group.orders / group.visits if group.visits else 0.0
    return f"{share:.1%} of {group.visits:,} visits ended in an order"


def summary(scene: Scene) -> str:
    """What happened, and what to try next."""
    told = scene.answers
    paragraphs = [
        _title("What happened"),
        f"{scene.customers:,} simulated shoppers sent {scene.events:,} events in "
        f"{scene.seconds:.0f} s; {scene.offers:,} offers came out, half of them within "
        f"{milliseconds(scene.p50)} of the event and 99 % within {milliseconds(scene.p99)}.",
        _outcomes(scene),
        f"No offer: {_listed(scene, 'denied')}.",
        f"Shoppers saw {told.seen:,} offers, clicked on {told.clicked:,} and dismissed "
        f"{told.dismissed:,}; {told.orders:,} orders hold an offered item. "
        f"{scene.refused_consent:,} customers refuse offers; {_unwanted(told.unwanted)}",
        f"With offers, {conversion(scene.effect.offered)}; of customers held out, "
        f"{conversion(scene.effect.held_out)}: {points(scene.effect)}, {verdict(scene.effect)}.",
        _models(scene),
    ]
    if scene.segments:
        paragraphs.append("Segments found:")
        paragraphs += [f"  {s.number}. {s.words}" for s in scene.segments]
    if scene.latest:
        paragraphs.append("The latest offers:")
        paragraphs += [f"  {offer_line(offer)}" for offer in scene.latest[:3]]
    paragraphs += ["", _title("What to try next")]
    width = max(len(command) for command, _ in NEXT)
    paragraphs += [f"  {command:<{width}}  {why}" for command, why in NEXT]
    return "\n".join(paragraphs)


def _title(text: str) -> str:
    return f"{text}\n{'-' * len(text)}"


def _outcomes(scene: Scene) -> str:
    counts = scene.counts
    rejected = _listed(scene, "rejected")
    return (
        f"Applied {counts.get('applied', 0):,}; dropped {counts.get('duplicate', 0):,} duplicates, "
        f"{counts.get('late', 0):,} late, {counts.get('suppressed', 0):,} from bots; "
        f"dead letters: {rejected}."
    )


def _listed(scene: Scene, prefix: str) -> str:
    found = [f"{count:,} {REASONS.get(name, name)}" for name, count in scene.reasons(prefix)]
    return ", ".join(found) or "none"


def _unwanted(count: int) -> str:
    return f"{count:,} got one while the refusal was on its way." if count else "none got one."


def _models(scene: Scene) -> str:
    last = scene.learning
    if not last.auc:
        return "The models saw too few labels to judge them."
    known = (
        f"{learned(scene)} over the latest labels of {last.labels:,}, predicted before they were "
        f"learned; calibration {last.calibration:.2f} (1 is right)."
    )
    if not last.pairs:
        return known
    share = last.true_pairs / last.pairs
    return f"{known} Of the items offered as bought together, {share:.0%} truly go together."

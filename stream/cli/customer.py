"""``offerstream customer``: what is known of one customer, in words or as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
import orjson

from stream.cli.moments import MomentParam
from stream.cli.options import settings_option
from stream.cli.progress import gauge
from stream.config import Settings

_REFUSED = {
    "consent": "the customer has not allowed offers",
    "offer_gap": "the last offer is too recent",
    "frequency_cap": "enough offers were seen in a day",
    "quiet_hours": "it is a quiet hour",
    "holdout": "the customer is held out, to measure the effect",
}


@click.command
@settings_option
@click.argument("customer_id")
@click.option(
    "--at",
    type=MomentParam(),
    default="stream",
    show_default=True,
    help="As of when; stream: the newest event of the customer's partition.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def customer(settings: Settings, customer_id: str, at: int | None, as_json: bool) -> None:
    """Show what is known of CUSTOMER_ID: profile, segment, consent, arm, offers, last refusals.

    One partition is read, of the customers' changelog, of the offers and of the decisions.
    It works beside running workers on Kafka, and on a local log when no worker has it open.

    \b
    offerstream customer c-42 --broker kafka://127.0.0.1:9092
    offerstream customer c-42 --json
    """
    from stream.client.lookup import find_decisions, find_offers
    from stream.domain.text import tidy
    from stream.insight.changelog import read_customer
    from stream.insight.customer import known_of, stream_time_of

    name = tidy(customer_id)
    with gauge("reading the partition", None, "records", quiet=as_json) as progress:
        kept = read_customer(settings, name, progress.show)
    for line in kept.unreadable:
        click.echo(f"offerstream: {line}", err=True)
    state = kept.states.get(name)
    if state is None:
        why = "its record cannot be read" if kept.unreadable else "no event of it was applied"
        raise click.ClickException(f"nothing is kept of a customer {customer_id!r}: {why}")
    now = at if at is not None else stream_time_of(kept.ledgers, state)
    with gauge("reading the offers", None, "records", quiet=as_json) as progress:
        found = find_offers(settings, name, now, seen=progress.show)
    with gauge("reading the decisions", None, "records", quiet=as_json) as progress:
        decided = find_decisions(settings, name, progress.show)
    known = known_of(name, state, settings.core, now, found, decided)
    click.echo(
        orjson.dumps(known, option=orjson.OPT_INDENT_2) if as_json else "\n".join(_words(known))
    )


def _words(known: dict[str, Any]) -> list[str]:
    lines = [f"Customer {known['customer_id']}, as of {_time(known['at'])}"]
    first, last = _time(known["first_seen"]), _time(known["last_seen"])
    lines.append(f"  seen       first {first}, last {last}")
    spent = ", ".join(_money(amount, currency) for currency, amount in known["spent"].items())
    lines.append(
        f"  did        {known['views']} views, {known['carts']} put into the cart, "
        f"{known['orders']} orders ({known['units']} units, {known['refunds']} refunds)"
        + (f", net {spent}" if spent else "")
    )
    tastes = sorted(known["tastes"].items(), key=lambda one: -one[1])[:5]
    if tastes:
        lines.append("  likes      " + ", ".join(name for name, _ in tastes))
    segment = known["segment"]
    if segment is not None:
        lines.append(f"  segment    {segment['id']}, {segment['name'] or 'not yet named'}")
    for purpose, said in known["permission"].items():
        lines.append(f"  {purpose:<10} {_said(said)}")
    held_out = known["arm"] == "holdout"
    lines.append(f"  held out   {'yes: no offers, to measure the effect' if held_out else 'no'}")
    lines.append(
        f"  offers     {known['offers']} made, {len(known['impressions'])} seen within a day, "
        f"{known['dismissed']} dismissed"
    )
    for offer in known["open_offers"]:
        items = ", ".join(item.get("name") or item["product_id"] for item in offer["items"])
        lines.append(f"    open     {offer['offer_id']} until {offer['expires_at']}: {items}")
    for offer_id, reason in known["recalled"].items():
        lines.append(f"    recalled {offer_id}: {reason}")
    refused = known["refused_now"]
    why = "nothing stands in the way" if refused is None else _REFUSED.get(refused, refused)
    lines.append(f"  next offer {why}")
    for one in known["last_refusals"]:
        line = ", ".join(f"{each['campaign_id']}: {each['reason']}" for each in one["passed"])
        why = _REFUSED.get(one["reason"], one["reason"].replace("_", " "))
        lines.append(f"  refused    {one['decided_at']}: {why}" + (f" ({line})" if line else ""))
    if not known["decisions_told"] and not known["last_refusals"]:
        lines.append("  refused    not told: the customer is not of core.decisions_share")
    return lines


def _said(said: dict[str, Any]) -> str:
    if said["allowed"] is None:
        return "nothing was said"
    when = said["yes"] if said["allowed"] else said["no"]
    return f"{'allowed' if said['allowed'] else 'refused'} since {_time(when)}"


def _time(milliseconds: int) -> str:
    if not milliseconds:
        return "never"
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _money(minor: int, currency: str) -> str:
    from stream.domain.money import to_major

    return f"{to_major(minor, currency)} {currency}"

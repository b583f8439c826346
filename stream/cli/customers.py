"""``offerstream customers``: what is kept of customers, and what became of their events."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING

import click

from stream.cli.options import settings_option
from stream.config import Settings

if TYPE_CHECKING:
    from stream.insight.changelog import Customers


@click.command
@click.argument("customer_id", required=False)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a customer, one a line.")
@settings_option
def customers(settings: Settings, customer_id: str | None, as_json: bool) -> None:
    """Show what is kept of CUSTOMER_ID, or of all customers together.

    It reads the table's changelog, of one customer one partition; it works beside running workers
    on Kafka, and on a local log when no worker has it open. Records that cannot be read are told on
    stderr; the exit code is 1 then. `offerstream customer` tells more of one customer, in words.

    \b
    offerstream customers --broker local:///tmp/shop
    offerstream customers c-42 --broker kafka://127.0.0.1:9092
    offerstream customers --json > customers.jsonl
    """
    from stream.insight.changelog import read_customer, read_customers
    from stream.insight.customer import described

    found = (
        read_customers(settings) if customer_id is None else read_customer(settings, customer_id)
    )
    for line in found.unreadable:
        click.echo(f"offerstream: {line}", err=True)
    if customer_id is not None:
        if customer_id not in found.states:
            raise click.ClickException(f"nothing is kept of a customer {customer_id!r}")
        click.echo(json.dumps(described(customer_id, found.states[customer_id]), indent=2))
    elif as_json:
        for name, state in found.states.items():
            click.echo(json.dumps(described(name, state)))
    else:
        _summarise(found)
    if found.unreadable:
        sys.exit(1)


def _summarise(found: Customers) -> None:
    counts: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    for ledger in found.ledgers:
        counts.update(ledger.counts)
    for state in found.states.values():
        spent.update(dict(state.profile.spent))
    click.echo(f"{len(found.states)} customers")
    for currency, amount in sorted(spent.items()):
        click.echo(f"  net spent, minor units of {currency}: {amount}")
    for name, count in sorted(counts.items()):
        click.echo(f"  {name}: {count}")

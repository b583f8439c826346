"""``offerstream offers``: as they are made, one customer's, over HTTP, or handed to a sink."""

from __future__ import annotations

import asyncio
import json
import sys
from socket import AF_INET, AF_INET6, create_server, socket
from typing import TYPE_CHECKING, Any

import click
import orjson

from stream.cli.moments import MomentParam, Span, now_ms
from stream.cli.options import settings_option
from stream.cli.progress import gauge
from stream.config import ConfigError, Settings
from stream.host.signals import interruptible

if TYPE_CHECKING:
    from stream.broker.records import Record
    from stream.client.book import Taken
    from stream.client.lookup import Found
    from stream.client.offer import Offer

_ago = click.option(
    "--since",
    type=Span(),
    default="1d",
    show_default=True,
    help="How far back to begin on Kafka; a local log is read whole.",
)


@click.group
def offers() -> None:
    """Show the offers as they are made, or one customer's, serve them, or hand them on."""


@offers.command
@settings_option
@_ago
@click.option("--customer", metavar="ID", help="Only of this customer.")
@click.option("--until-now", is_flag=True, help="End with what is there, instead of following.")
@click.option("--json", "as_json", is_flag=True, help="The records as they are, one a line.")
def tail(
    settings: Settings, since: float, customer: str | None, until_now: bool, as_json: bool
) -> None:
    """Print offers and recalls as they come, each once, until Ctrl-C.

    \b
    offerstream offers tail --broker kafka://127.0.0.1:9092
    offerstream offers tail --until-now --json > offers.jsonl
    """
    from stream.client.book import Taken
    from stream.client.offer import read_record

    key = None if customer is None else customer.encode()

    def heard(record: Record, taken: Taken) -> None:
        if taken in (Taken.DUPLICATE, Taken.UNREADABLE) or key not in (None, record.key):
            return
        value = record.value or b""
        click.echo(value if as_json else _line(read_record(record.key, value)))

    async def follow() -> None:
        from stream.client import OfferReader

        reader = OfferReader(settings, lookback=since, clock=lambda: 0, heard=heard)
        with interruptible() as stop:
            async with reader:
                if not until_now:
                    await _until(stop, asyncio.ensure_future(reader.wait()))
        if unreadable := reader.counts[Taken.UNREADABLE]:
            click.echo(f"offerstream: {unreadable} record(s) are no offers", err=True)

    asyncio.run(follow())


@offers.command
@settings_option
@click.argument("customer_id")
@click.option(
    "--at",
    type=MomentParam(),
    default="now",
    show_default=True,
    help="Open at this time; stream: at that of the newest offer.",
)
@_ago
@click.option("--openrtb", is_flag=True, help="As OpenRTB 2.6 has it: user.data.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, as `offers serve` has it.")
def get(
    settings: Settings,
    customer_id: str,
    at: int | None,
    since: float,
    openrtb: bool,
    as_json: bool,
) -> None:
    """Show what CUSTOMER_ID may be shown now; only the customer's partition is read.

    \b
    offerstream offers get c-7
    offerstream offers get c-7 --openrtb
    offerstream offers get c-7 --at stream --broker local:///tmp/shop
    """
    from stream.client.http import listed
    from stream.client.lookup import find_offers
    from stream.client.offer import read_offer
    from stream.client.openrtb import user_data

    start = now_ms() - round(since * 1000)
    with gauge("reading the offers", None, "records", quiet=as_json or openrtb) as progress:
        found = find_offers(settings, customer_id, at, start, progress.show)
    if openrtb:
        click.echo(orjson.dumps(user_data([read_offer(value) for value in found.open])))
    elif as_json:
        click.echo(listed(customer_id, found.open))
    else:
        click.echo(_words(customer_id, found))


@offers.command
@settings_option
@_ago
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; any but this machine's own opens it to a network.",
)
@click.option("--port", default=6068, show_default=True, type=click.IntRange(0, 65_535))
@click.option(
    "--clock",
    type=click.Choice(["now", "stream"]),
    default="now",
    show_default=True,
    help="By which offers expire: this machine's, or the newest offer's, for replays.",
)
def serve(settings: Settings, since: float, host: str, port: int, clock: str) -> None:
    """Answer GET /customers/ID/offers over HTTP, until Ctrl-C; ?format=openrtb for bid requests.

    \b
    offerstream offers serve --broker kafka://127.0.0.1:9092
    curl http://127.0.0.1:6068/customers/c-7/offers
    """
    asyncio.run(_serve(settings, since, _bound(host, port), host, clock))


@offers.command
@settings_option
@click.argument("sink")
@click.option(
    "--since",
    type=Span(),
    default="1d",
    show_default=True,
    help="How far back to begin on Kafka the first time; a local log is read whole.",
)
@click.option("--until-now", is_flag=True, help="End with what is there, instead of following.")
@click.option(
    "--attempts",
    type=click.IntRange(1),
    default=8,
    show_default=True,
    help="How often a sink that raises is handed the same, later and later, before this ends.",
)
def pipe(settings: Settings, sink: str, since: float, until_now: bool, attempts: int) -> None:
    """Hand offers and recalls to SINK, a function of a package of yours, until Ctrl-C.

    Each comes at least once, those of a customer in their order. The place is committed when the
    sink has returned, under the group APP_ID-sink-SINK: its lag is what is not yet handed over.
    Run one at a time of each sink. docs/extending.md shows how to write one.

    \b
    offerstream extensions
    offerstream offers pipe to-file --broker kafka://127.0.0.1:9092
    """
    from stream.client.piping import Pipe, SinkFailed
    from stream.host.extensions import ExtensionPoint, loaded

    def failed(error: Exception, wait: float) -> None:
        kind = type(error).__name__
        click.echo(f"offerstream: sink {sink} raised {kind}; again in {wait:g} s", err=True)

    start = now_ms() - round(since * 1000)
    taken = loaded(ExtensionPoint.SINKS, sink)
    piping = Pipe(settings, sink, taken, since=start, attempts=attempts, failed=failed)

    async def follow() -> None:
        with interruptible() as stop:
            await _until(stop, asyncio.ensure_future(piping.run(until_now=until_now)))

    try:
        asyncio.run(follow())
    except SinkFailed as error:
        told = f"the sink {sink} does not take its offers: {error}; nothing is lost: mend it, and "
        raise click.ClickException(told + "pipe again") from error
    finally:
        click.echo(f"{piping.delivered:,} records handed to {sink}", err=True)


async def _serve(
    settings: Settings, since: float, listening: socket, host: str, clock: str
) -> None:
    from stream.client import OfferReader
    from stream.client.http import offers_route
    from stream.client.reader import wall_clock
    from stream.host.serving import LOOPBACK, TextServer

    time = wall_clock if clock == "now" else clock
    with listening, interruptible() as stop:
        async with OfferReader(settings, lookback=since, clock=time) as reader:
            hosts = LOOPBACK if host in (*LOOPBACK, "::1") else None
            server = TextServer(listening, offers_route(reader), name="offers", hosts=hosts)
            try:
                shown = f"[{host}]" if ":" in host else host
                click.echo(f"offers at http://{shown}:{server.port}/customers/ID/offers")
                sys.stdout.flush()
                await _until(stop, asyncio.ensure_future(reader.wait()))
            finally:
                server.close()


async def _until(stop: asyncio.Event, work: asyncio.Future[None]) -> None:
    stopping = asyncio.ensure_future(stop.wait())
    both: set[asyncio.Future[Any]] = {stopping, work}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        stopping.cancel()
        work.cancel()


def _bound(host: str, port: int) -> socket:
    try:
        return create_server((host, port), family=AF_INET6 if ":" in host else AF_INET)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"offers can't be served on {host}:{port}: {why}; give another --host or --port"
        ) from error


def _line(said: object) -> str:
    from stream.client.offer import Offer, Recall

    if isinstance(said, Recall):
        return f"{said.customer_id}  recalled {said.offer_id}: {said.reason}"
    assert isinstance(said, Offer)
    items = ", ".join(item.name or item.product_id for item in said.items)
    off = f", {said.discount_percent} % off" if said.discount_percent else ""
    return f"{said.customer_id}  {said.offer_id}  {said.campaign_id}{off}: {items}"


def _words(customer_id: str, found: Found) -> str:
    from stream.client.offer import Recall, read_offer

    if found.open:
        return "\n".join(line for value in found.open for line in offer_lines(read_offer(value)))
    made = [said for said in found.made if not isinstance(said, Recall)]
    if not made:
        return f"no offer was made to {customer_id}"
    gone = {said.offer_id for said in found.made if isinstance(said, Recall)}
    last = max(made, key=lambda offer: offer.issued)
    how = "was recalled" if last.offer_id in gone else f"expired at {last.expires_at.isoformat()}"
    return (
        f"nothing is open for {customer_id}: of {len(made)} offer(s) the last {how}; "
        f"--at {json.dumps(last.issued_at.isoformat())} shows what was open then"
    )


def offer_lines(offer: Offer) -> list[str]:
    """An offer in words, a line for each item."""
    off = f", {offer.discount_percent} % off" if offer.discount_percent else ""
    where = "".join(f", {place}" for place in (offer.channel, offer.placement) if place)
    lines = [
        f"{offer.offer_id}  campaign {offer.campaign_id}{off}{where}, "
        f"until {offer.expires_at.isoformat()}"
    ]
    for item in offer.items:
        price = _price(item.final_price_minor, item.price_minor, offer.currency)
        lines.append(f"  {item.name or item.product_id}{price}: {item.reason}")
    return lines


def _price(final: int | None, full: int | None, currency: str) -> str:
    from stream.domain.money import to_major

    if final is None:
        return ""
    before = f" instead of {to_major(full, currency)}" if full is not None and full != final else ""
    return f" for {to_major(final, currency)} {currency}{before}"

"""``offerstream topics``: what topics a worker needs, and creating them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence

import click

from stream.broker.opening import open_cluster
from stream.broker.topics import Change, Kind, TopicSpec
from stream.cli.options import settings_option
from stream.config import Settings
from stream.worker.checks.renewal import Whence, renew
from stream.worker.checks.topics import Plan, apply, plan

_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
_replication = click.option(
    "--replication",
    type=click.IntRange(1, 9),
    metavar="N",
    help="Replicas of new topics; by default three, or as many as there are brokers.",
)


@click.group
def topics() -> None:
    """Show or create the topics that a worker needs."""


@topics.command("plan")
@settings_option
@_replication
@_as_json
def show_plan(settings: Settings, replication: int | None, as_json: bool) -> None:
    """Show how the topics differ from what the settings ask for; change nothing."""
    found = asyncio.run(_plan(settings, replication))
    if as_json:
        click.echo(json.dumps(_document(settings, found), indent=2))
        return
    click.echo(_table(found))
    click.echo()
    click.echo(_verdict(found))


@topics.command("apply")
@settings_option
@_replication
@_as_json
def carry_out(settings: Settings, replication: int | None, as_json: bool) -> None:
    """Create the topics that are missing, and configure those that differ."""
    done = asyncio.run(_apply(settings, replication))
    if as_json:
        click.echo(json.dumps(_document(settings, done), indent=2))
        return
    for change in done.changes:
        if change.kind is Kind.MISSING:
            click.echo(f"created {change.topic}: {change.want}, {done.replication} replica(s)")
        else:
            click.echo(
                f"set {change.topic} {change.key}: {change.have or 'unset'} -> {change.want}"
            )
    click.echo(f"all {len(done.specs)} topics are as they should be")


@topics.command("renew")
@settings_option
@click.argument("topic")
@click.option(
    "--from",
    "whence",
    type=click.Choice(["start", "end", "same"]),
    default="start",
    show_default=True,
    help="Where to read it as new; or it holds the same records at the same offsets.",
)
def take_word(settings: Settings, topic: str, whence: Whence) -> None:
    """Say that a topic of events holds something else now: it was made anew, restored, or cut.

    Stop the workers first. Only partitions that differ from what is accounted for are touched.
    """
    done = renew(settings, topic, whence)
    for partition, at in done:
        click.echo(f"{topic}, partition {partition}: goes on at offset {at}")
    if not done:
        click.echo(f"{topic} is what is accounted for: there is nothing to say")


async def _plan(settings: Settings, replication: int | None) -> Plan:
    async with open_cluster(settings) as cluster:
        return await plan(cluster, settings, replication)


async def _apply(settings: Settings, replication: int | None) -> Plan:
    async with open_cluster(settings) as cluster:
        found = await plan(cluster, settings, replication)
        await apply(cluster, found)
        return found


def _verdict(found: Plan) -> str:
    differing = len({change.topic for change in found.changes})
    if not differing:
        return f"all {len(found.specs)} topics are as they should be"
    refused = any(change.kind is Kind.PARTITIONS for change in found.changes)
    way = "refuses to change partitions, and says what else to do" if refused else "mends that"
    return f"{differing} of {len(found.specs)} topics differ; `offerstream topics apply` {way}"


def _table(found: Plan) -> str:
    rows = [("TOPIC", "PARTITIONS", "CLEANUP", "STATE")]
    for spec in found.specs:
        state = _state(change for change in found.changes if change.topic == spec.name)
        rows.append((spec.name, str(spec.partitions), _cleanup(spec), state))
    return "\n".join(_aligned(rows))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cleanup(spec: TopicSpec) -> str:
    if "retention.ms" not in spec.config:
        return spec.config["cleanup.policy"]
    return f"after {int(spec.config['retention.ms']) // 86_400_000} days"


def _state(changes: Iterable[Change]) -> str:
    words = [
        "missing"
        if change.kind is Kind.MISSING
        else f"{change.key} {change.have or 'unset'} -> {change.want}"
        for change in changes
    ]
    return "; ".join(words) or "ok"


def _document(settings: Settings, found: Plan) -> dict[str, object]:
    return {
        "broker": settings.broker,
        "replication": found.replication,
        "topics": [
            {
                "name": spec.name,
                "partitions": spec.partitions,
                "config": dict(spec.config),
                "changes": [c._asdict() for c in found.changes if c.topic == spec.name],
            }
            for spec in found.specs
        ],
    }

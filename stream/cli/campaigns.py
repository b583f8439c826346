"""``offerstream campaigns``: a folder of YAML files says which campaigns run."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click
import orjson

from stream.cli.options import settings_option
from stream.cli.progress import gauge
from stream.codec.campaign_files import SUFFIXES, FileFault, Written, paused, read_folder
from stream.codec.reference import ReferenceDecoder, encode_campaign
from stream.codec.schema import load_schemas
from stream.config import ConfigError, Settings
from stream.domain.campaign import Incentive, Reward
from stream.domain.event import Campaign

F = TypeVar("F", bound=Callable[..., Any])
NEW, CHANGED, SAME, STRAY = "new", "changed", "unchanged", "not in the folder"
_SIGNS: Final = {NEW: "+", CHANGED: "~", SAME: "=", STRAY: "-"}
_folder = click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
_as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
_prune = click.option(
    "--prune", is_flag=True, help="Remove campaigns that are in force and in no file."
)


class CampaignChange(NamedTuple):
    """How a campaign in force differs from its file; ``fields`` by name: before, and after."""

    campaign_id: str
    kind: str
    fields: Mapping[str, tuple[Any, Any]]


@click.group
def campaigns() -> None:
    """Say with a folder of YAML files which campaigns run.

    \b
    offerstream campaigns init shop/campaigns       a set to start from
    offerstream campaigns validate shop/campaigns   are they right?
    offerstream campaigns plan shop/campaigns       what would change, and whom it reaches
    offerstream campaigns apply shop/campaigns      in force in every worker, at once
    """


@campaigns.command
@_folder
def init(folder: Path) -> None:
    """Write a set of campaigns to start from into DIR; nothing that is there is changed.

    Welcome, cross-sell, viewed and not bought, win-back and VIP: each says in comments what it
    does, and what to change.
    """
    folder.mkdir(parents=True, exist_ok=True)
    starter = files("stream.cli") / "starter"
    names = sorted(one.name for one in starter.iterdir() if one.name.endswith(SUFFIXES))
    for name in names:
        try:
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write((starter / name).read_text(encoding="utf-8"))
        except FileExistsError:
            click.echo(f"{folder / name} is there, and stays as it is")
        else:
            click.echo(f"wrote {folder / name}")
    click.echo(f"next: offerstream campaigns validate {folder}")


@campaigns.command
@_folder
@_as_json
@settings_option
def validate(settings: Settings, folder: Path, as_json: bool) -> None:
    """Check the campaigns in DIR; each fault is one line with its file and line, and exit code 2.

    No broker is asked.
    """
    written, faults = _read(folder, settings)
    if as_json:
        document = {
            "campaigns": [one.campaign.campaign_id for one in written],
            "faults": [fault._asdict() for fault in faults],
        }
        click.echo(json.dumps(document, indent=2))
    else:
        for fault in faults:
            click.echo(str(fault), err=True)
        if not faults:
            click.echo(f"{_counted(len(written))} in {folder}, and nothing is wrong with them")
    if faults:
        raise click.exceptions.Exit(2)


@campaigns.command
@_folder
@click.option(
    "--days", type=click.FloatRange(0.01, 366), default=7.0, show_default=True, metavar="N",
    help="Whom they would have reached in the last N days of the log; see --no-reach.",
)  # fmt: skip
@click.option("--no-reach", is_flag=True, help="Do not read the log.")
@_prune
@_as_json
@settings_option
def plan(
    settings: Settings, folder: Path, days: float, no_reach: bool, prune: bool, as_json: bool
) -> None:
    """Show what `apply` would change, and whom the campaigns of DIR would have reached."""
    written = _sound(folder, settings)
    changes, in_force = _changes(written, settings)
    reached = None
    if not no_reach:
        standing = [one.campaign for one in written]
        if not prune:
            ours = {one.campaign_id for one in standing}
            standing += [one for name, one in in_force.items() if name not in ours]
        reached = _reach(standing, settings, days)
    if as_json:
        document: dict[str, Any] = {
            "changes": [one._asdict() for one in changes],
            "prune": prune,
            "reach": None if reached is None else {"days": days} | reached._asdict(),
        }
        click.echo(json.dumps(document, indent=2))
        return
    _show_changes(changes, prune)
    if reached is not None:
        _show_reach(reached, days)


@campaigns.command
@_folder
@_prune
@_as_json
@settings_option
def apply(settings: Settings, folder: Path, prune: bool, as_json: bool) -> None:
    """Put the campaigns of DIR in force: within two seconds, in every worker.

    Only what differs is published. On a local log no worker may have it open.
    """
    from stream.insight.campaigns import publish_campaigns

    written = _sound(folder, settings)
    changes, _ = _changes(written, settings)
    ours = {one.campaign.campaign_id: one.campaign for one in written}
    wanted: dict[str, bytes | None] = {
        one.campaign_id: encode_campaign(ours[one.campaign_id])
        for one in changes
        if one.kind in (NEW, CHANGED)
    }
    if prune:
        wanted |= {one.campaign_id: None for one in changes if one.kind == STRAY}
    if wanted:
        publish_campaigns(settings, wanted)
    if as_json:
        document = {"changes": [one._asdict() for one in changes], "published": sorted(wanted)}
        click.echo(json.dumps(document, indent=2))
        return
    _show_changes(changes, prune)
    click.echo(f"published {_counted(len(wanted))}" if wanted else "nothing to publish")


@campaigns.command("list")
@_folder
@click.option("--offline", is_flag=True, help="Do not ask what is in force.")
@_as_json
@settings_option
def show(settings: Settings, folder: Path, offline: bool, as_json: bool) -> None:
    """List the campaigns of DIR in the order in which they stand in line."""
    from stream.decide.policy import by_priority

    written = _sound(folder, settings)
    kinds: dict[str, str] = {}
    in_force: Mapping[str, Campaign] = {}
    if not offline:
        changes, in_force = _changes(written, settings)
        kinds = {one.campaign_id: one.kind for one in changes}
    ours = {one.campaign.campaign_id: one.campaign for one in written}
    now = time.time_ns() // 1_000_000
    rows = [
        {
            "campaign_id": one.campaign_id,
            "name": one.name,
            "priority": one.priority,
            "strategy": one.strategy,
            "incentive": _incentives(one),
            "variants": _variants(one),
            "state": _state(one, now),
            "in_force": _IN_FORCE[kinds[one.campaign_id]] if kinds else None,
        }
        for one in by_priority(tuple({**in_force, **ours}.values()))
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    shown = [name for name in rows[0] if name != "in_force" or not offline] if rows else []
    table = [[name.upper().replace("_", " ") for name in shown]]
    table += [[str(row[name]) for name in shown] for row in rows]
    _table(table)


@campaigns.command
@_folder
@click.argument("campaign_id")
@click.option("--resume", is_flag=True, help="Let it run again.")
@settings_option
def pause(settings: Settings, folder: Path, campaign_id: str, resume: bool) -> None:
    """Pause CAMPAIGN_ID: in its file in DIR, and in force within two seconds.

    Nothing else of the file is changed; --resume lets it run again.
    """
    from stream.insight.campaigns import publish_campaigns

    found = {one.campaign.campaign_id: one for one in _sound(folder, settings)}
    if campaign_id not in found:
        known = ", ".join(sorted(found)) or "none"
        raise ConfigError(f"no campaign {campaign_id!r} in {folder}; there are {known}")
    file, campaign = found[campaign_id]
    text = file.read_text(encoding="utf-8")
    file.write_text(paused(text, resume), encoding="utf-8")
    publish_campaigns(settings, {campaign_id: encode_campaign(campaign._replace(active=resume))})
    click.echo(f"{campaign_id} {'runs again' if resume else 'is paused'}, in {file} and in force")


# ------------------------------------------------------------------------------------------ parts

_IN_FORCE: Final = {NEW: "no", CHANGED: "differs", SAME: "yes", STRAY: "in no file"}


def _read(folder: Path, settings: Settings) -> tuple[list[Written], tuple[Any, ...]]:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no folder; `offerstream campaigns init {folder}` makes one")
    schemas = load_schemas()
    decoder = ReferenceDecoder(schemas, settings.core)
    try:
        return read_folder(folder, schemas.of("campaigns"), decoder), ()
    except FileFault as fault:
        return [], fault.faults


def _sound(folder: Path, settings: Settings) -> list[Written]:
    written, faults = _read(folder, settings)
    for fault in faults:
        click.echo(str(fault), err=True)
    if faults:
        raise click.exceptions.Exit(2)
    return written


def _changes(
    written: list[Written], settings: Settings
) -> tuple[list[CampaignChange], Mapping[str, Campaign]]:
    from stream.insight.campaigns import read_campaigns

    in_force = read_campaigns(settings, ReferenceDecoder(load_schemas(), settings.core)).campaigns
    changes = []
    for one in written:
        name = one.campaign.campaign_id
        after = orjson.loads(encode_campaign(one.campaign))
        if name not in in_force:
            changes.append(CampaignChange(name, NEW, {}))
            continue
        before = orjson.loads(encode_campaign(in_force[name]))
        fields = {
            field: (before.get(field), after.get(field))
            for field in sorted({*before, *after})
            if before.get(field) != after.get(field)
        }
        changes.append(CampaignChange(name, CHANGED if fields else SAME, fields))
    ours = {one.campaign.campaign_id for one in written}
    changes += [CampaignChange(name, STRAY, {}) for name in sorted(in_force) if name not in ours]
    return sorted(changes), in_force


def _reach(standing: list[Campaign], settings: Settings, days: float) -> Any:
    from stream.insight.reach import reach, read_past

    past = read_past(settings)
    with gauge("asking customers' records", len(past.customers), "customers", quiet=False) as shown:
        return reach(past, standing, settings, days, shown.show)


def _show_changes(changes: list[CampaignChange], prune: bool) -> None:
    for one in changes:
        words = one.kind
        if one.kind == STRAY:
            words = "in no file: removed" if prune else "in no file: stays (--prune removes it)"
        click.echo(f"{_SIGNS[one.kind]} {one.campaign_id}: {words}")
        for field, (before, after) in one.fields.items():
            click.echo(f"    {field}: {_short(before)} -> {_short(after)}")


def _show_reach(reached: Any, days: float) -> None:
    click.echo()
    if not reached.until:
        click.echo("nobody was seen yet: the log tells no customers whom they would have reached")
        return
    until = datetime.fromtimestamp(reached.until / 1000, UTC)
    click.echo(
        f"{reached.seen:,} customers were seen in the {days:g} days to {until:%Y-%m-%d %H:%M} UTC; "
        f"{reached.open:,} may be made offers"
    )
    if reached.unreadable:
        click.echo(f"{reached.unreadable} records cannot be read, and are left out", err=True)
    names = sorted({*reached.audience, *reached.offers}, key=lambda n: (-reached.audience[n], n))
    rows = [["CAMPAIGN", "ITS AUDIENCE", "FIRST IN LINE", "OFFERS MADE"]]
    for name in names:
        share = reached.audience[name] / reached.open if reached.open else 0.0
        rows.append(
            [
                name,
                f"{reached.audience[name]:,} ({share:.0%})",
                f"{reached.first[name]:,}",
                f"{reached.offers[name]:,}",
            ]
        )
    _table(rows)


def _table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [text.ljust(width) for text, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())


def _short(value: Any) -> str:
    text = "nothing" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _counted(number: int) -> str:
    return f"{number} campaign" + ("" if number == 1 else "s")


def _incentives(campaign: Campaign) -> str:
    return " / ".join(map(_incentive, campaign.rewards))


def _variants(campaign: Campaign) -> str:
    if not campaign.variants:
        return "–"
    names = " / ".join(variant.name for variant in campaign.variants)
    return f"{names} ({campaign.choosing.by})"


def _incentive(reward: Reward) -> str:
    if reward.kind is Incentive.PERCENT:
        return f"{reward.size} %"
    if reward.kind is Incentive.AMOUNT:
        return f"{reward.size} minor units"
    return "free shipping" if reward.kind is Incentive.FREE_SHIPPING else "none"


def _state(campaign: Campaign, now: int) -> str:
    if not campaign.active:
        return "paused"
    if campaign.starts is not None and now < campaign.starts:
        return "not begun"
    return "ended" if campaign.ends is not None and now >= campaign.ends else "runs"

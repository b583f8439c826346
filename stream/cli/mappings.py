"""``offerstream mappings``: the shipped mappings, to use and to begin one's own with."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from stream.cli.inputs import FILE, found
from stream.cli.progress import gauge
from stream.codec.events.decoding import EventDecoder
from stream.codec.schema import load_schemas
from stream.config import ConfigError, CoreSettings
from stream.domain.event import Rejection, Source
from stream.replay.mapping_file import load_mapping, shipped_mappings
from stream.replay.outcome import PublishedRecord
from stream.replay.replay import Replay
from stream.replay.section import nearest

_SOURCES = {source.name.lower(): source for source in Source}
_NOW = 4_102_444_800_000  # ms, the year 2100: no event of a log is ahead of it


@click.group
def mappings() -> None:
    """Show the mappings from a log's columns to events.

    \b
    offerstream mappings list
    offerstream mappings show rees46 > my-shop.toml
    offerstream mappings check my-shop.toml
    offerstream mappings check my-shop.toml my-shop.csv.gz
    offerstream replay my-shop.csv.gz --mapping my-shop.toml
    """


@mappings.command("list")
def list_mappings() -> None:
    """List the mappings that come with offerstream."""
    found = {name: load_mapping(name).description for name in shipped_mappings()}
    width = max(map(len, found))
    for name, description in found.items():
        click.echo(f"{name:<{width}}  {description}")


@mappings.command
@click.argument("name")
def show(name: str) -> None:
    """Show the mapping NAME as TOML."""
    shipped = shipped_mappings()
    if name not in shipped:
        raise ConfigError(f"no mapping is named {name!r}; {nearest(name, shipped)}")
    click.echo(shipped[name], nl=False)


@mappings.command
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("logs", metavar="[LOG]…", nargs=-1, type=FILE)
def check(file: Path, logs: tuple[Path, ...]) -> None:
    """Check a mapping FILE by itself, or by what it makes of LOGs, without replaying them.

    A LOG is whatever `offerstream replay` reads.

    \b
    offerstream mappings check my-shop.toml
    offerstream mappings check rees46 2019-Oct.csv.gz
    """
    mapping = load_mapping(str(file))
    if not logs:
        click.echo(f"{file} is right")
        return
    replay = Replay(found(logs, quiet=False), mapping)
    with gauge("looking through", replay.size, "bytes", quiet=False) as shown:
        plan = replay.plan(lambda rows, share: shown.show(round(share * replay.size)))
    decoder = EventDecoder(load_schemas(), CoreSettings())
    faults: Counter[str] = Counter()
    examples: dict[str, int] = {}
    good = 0
    with gauge("checking", plan.rows, "rows", quiet=False) as shown:
        for outcome in replay.outcomes(plan):
            shown.show(replay.account.rows)
            if not isinstance(outcome, PublishedRecord):
                fault, row = outcome.reason, outcome.row
            elif outcome.kind == "catalog":
                continue
            else:
                topic, head = _SOURCES[outcome.kind], (outcome.key, outcome.value, ())
                judged = decoder.decode(topic, *head, _NOW)
                if not isinstance(judged, Rejection):
                    good += 1
                    continue
                row = replay.row_of(plan, outcome.row)[1]
                fault = f"{judged.code}: {judged.detail}"
            faults[fault] += 1
            examples.setdefault(fault, row)
    click.echo(f"{file} makes {good:,} events of {plan.rows:,} rows of {replay.name}")
    for fault, count in faults.most_common():
        click.echo(f"  {count:,} are none, such as row {examples[fault]:,}: {fault}")
    if not good:
        raise ConfigError(f"{file} makes no event of {replay.name}")

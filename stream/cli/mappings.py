"""``offerstream mappings``: the shipped mappings, to use and to begin one's own with."""

from __future__ import annotations

from pathlib import Path

import click

from stream.config import ConfigError
from stream.replay.mapping_file import load_mapping, shipped_mappings
from stream.replay.section import nearest


@click.group
def mappings() -> None:
    """Show the mappings from a log's columns to events.

    \b
    offerstream mappings list
    offerstream mappings show rees46 > my-shop.toml
    offerstream mappings check my-shop.toml
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
def check(file: Path) -> None:
    """Check a mapping FILE by itself, without a log."""
    load_mapping(str(file))
    click.echo(f"{file} is right")

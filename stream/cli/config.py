"""``offerstream config``: what the settings are, where from, and whether a file is right."""

from __future__ import annotations

import json
from pathlib import Path

import click

from stream.cli.options import loaded_option
from stream.host.environment import Loaded, load, shown


@click.group
def config() -> None:
    """Show or check the settings."""


@config.command
@loaded_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object by setting, for machines.")
def show(loaded: Loaded, as_json: bool) -> None:
    """Show every setting, its value and where that is from; secrets are masked."""
    values = shown(loaded.settings)
    if as_json:
        rows = {n: {"value": value, "source": loaded.sources[n]} for n, value in values.items()}
        click.echo(json.dumps(rows, indent=2))
        return
    width = max(map(len, values))
    for name, value in values.items():
        text = json.dumps(value, ensure_ascii=False)
        click.echo(f"{name:<{width}}  {text:<34}  {loaded.sources[name]}")


@config.command
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Check a settings FILE by itself, without the environment."""
    loaded = load(file=file, environ={})
    chosen = sum(source != "default" for source in loaded.sources.values())
    click.echo(f"{file} is right: {chosen} settings in it, the rest at their defaults")

"""``offerstream evaluate``: the stream's own estimators on a file, in one pass."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Final

import click

MEASURES: Final = {
    "next-item": "How often the next item of a session is among the twenty offered.",
    "propensity": "How well purchases are foreseen, event by event.",
    "rules": "Association rules of baskets, exact and bounded.",
    "segments": "How close the segments come to batch k-means.",
}
"""What can be measured; the command ``x`` is in ``stream/cli/evaluate_x.py``, called ``x``."""


class _LazyMeasures(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in MEASURES if find_spec(_module(name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        command = getattr(import_module(_module(cmd_name)), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, MEASURES[name]) for name in self.list_commands(ctx)])


def _module(name: str) -> str:
    return f"stream.cli.evaluate_{name.replace('-', '_')}"


@click.group(cls=_LazyMeasures)
def evaluate() -> None:
    """Measure the models on a file, in one pass: each answer is given before it is learned from."""

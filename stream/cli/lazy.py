"""Groups whose commands are imported when they are called, so that ``--help`` stays quick."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import click


class LazyGroup(click.Group):
    """A group of commands that stand in modules of their own.

    Parameters
    ----------
    listed
        What each command is for, by name, in the order of the help.
    modules
        Module of the command ``x`` without its last letters: ``"stream.cli."`` for
        ``stream/cli/x.py``, where the command is called ``x`` (dashes become underscores). A
        command whose module is not there is not listed.
    """

    def __init__(self, *args: Any, listed: Mapping[str, str], modules: str, **extra: Any) -> None:
        super().__init__(*args, **extra)
        self.listed = listed
        self._modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands whose modules are there."""
        return [name for name in self.listed if find_spec(self._modules + _symbol(name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is no such."""
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(self._modules + _symbol(cmd_name))
        command = getattr(module, _symbol(cmd_name))
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what each command is for, without importing it."""
        rows = [(name, self.listed[name]) for name in self.list_commands(ctx)]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)


def _symbol(name: str) -> str:
    return name.replace("-", "_")

"""Errors for people: one line on stderr that names the fault and the way out, and an exit code.

Rules: 2 is a mistake in the command line or the settings, 1 a fault of the surroundings (a disk,
a network), 130 an interrupt. With ``--debug`` the traceback is shown; a bug of ours always shows
its own. What a traceback or a line may tell is for :mod:`stream.host.discretion` to say.
"""

from __future__ import annotations

import sys
from typing import Any

import click

from stream.config import ConfigError
from stream.host.discretion import masked


class OneLineGroup(click.Group):
    """A group that says an operator's fault in one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what the operator can mend becomes a ``ClickException``."""
        try:
            return super().invoke(ctx)
        except (ConfigError, OSError) as error:
            if ctx.params.get("debug") or isinstance(error, BrokenPipeError):
                raise  # click itself deals with a reader (`| head`) that has had enough
            fault = click.ClickException(_words(error))
            fault.exit_code = 2 if isinstance(error, ConfigError) else 1
            raise fault from error

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the group; unlike click's own, a usage error is one line, too."""
        unhandled = {**extra, "standalone_mode": False}
        if not standalone_mode:
            return super().main(*args, **unhandled)
        try:
            code = super().main(*args, **{**unhandled, "prog_name": "offerstream"})
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(0)
        except click.ClickException as error:
            _say(_with_help(error))
            sys.exit(error.exit_code)
        except (KeyboardInterrupt, click.Abort):
            _say("interrupted")
            sys.exit(130)
        sys.exit(code if isinstance(code, int) else 0)


def _words(error: ConfigError | OSError) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error) or type(error).__name__


def _with_help(error: click.ClickException) -> str:
    message = error.format_message()
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message.rstrip('.')} (`{error.ctx.command_path} --help` tells more)"
    return message


def _say(message: str) -> None:
    click.echo("offerstream: " + masked(" ".join(message.split())), err=True)

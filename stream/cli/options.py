"""The options that every command with settings takes, and the loading behind them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import click

from stream.config import ConfigError, Settings
from stream.host.discretion import keep_secret
from stream.host.environment import Loaded, load, secrets

P = ParamSpec("P")
R = TypeVar("R")

_OPTIONS = (
    click.option(
        "--config",
        "settings_file",  # commands have arguments called FILE
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Settings as TOML; OFFERSTREAM_CONFIG names one, too.",
    ),
    click.option(
        "--broker",
        metavar="URL",
        help="kafka://host:port[,host:port], or local:///directory for a local log.",
    ),
    click.option(
        "--set",
        "assignments",
        multiple=True,
        metavar="NAME=VALUE",
        help="Any setting by name, such as kafka.tls=true; may be repeated.",
    ),
)


def loaded_option(command: Callable[Concatenate[Loaded, P], R]) -> Callable[..., R]:
    """Give ``command`` the settings with their sources as its first argument."""

    @wraps(command)
    def with_settings(*args: Any, **kwargs: Any) -> R:
        options = {"broker": kwargs.pop("broker"), **_parsed(kwargs.pop("assignments"))}
        loaded = load(file=kwargs.pop("settings_file"), environ=os.environ, options=options)
        keep_secret(secrets(loaded.settings))
        return command(loaded, *args, **kwargs)

    decorated: Callable[..., R] = with_settings
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def settings_option(command: Callable[Concatenate[Settings, P], R]) -> Callable[..., R]:
    """Give ``command`` the settings as its first argument."""

    @loaded_option
    @wraps(command)
    def with_settings(loaded: Loaded, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return command(loaded.settings, *args, **kwargs)

    return with_settings


def _parsed(assignments: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in assignments]
    for name, separator, _ in pairs:
        if not separator:
            name = (
                name.split(":")[0].split()[0] if name.strip() else "NAME"
            )  # the rest may be secret
            raise ConfigError(f"--set {name} lacks a value; write --set {name}=VALUE")
    return {name.strip(): value for name, _, value in pairs}

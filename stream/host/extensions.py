"""Extensions: found by the entry points of installed packages, loaded if the settings name them.

Rules: this is the one place that looks for them; whoever needs one is handed it as a value. What
cannot be loaded, or does not take what it will be handed, is a `ConfigError` of one line that names
it, before any topic is read.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final, NamedTuple

from stream.config import ConfigError, Settings
from stream.extending import Classifier
from stream.host.guarding import (
    GuardedChallenger,
    GuardedEnvelope,
    GuardedRule,
    GuardedSource,
    Guards,
)


class ExtensionPoint(StrEnum):
    """Where an extension joins in; the value is the last part of its group of entry points."""

    RULES = "rules"
    ENVELOPES = "envelopes"
    SOURCES = "sources"
    CHALLENGERS = "challengers"
    SINKS = "sinks"

    @property
    def group(self) -> str:
        """The group of entry points.

        >>> ExtensionPoint.RULES.group
        'offerstream.rules'
        """
        return f"offerstream.{self.value}"


TAKES: Final[Mapping[ExtensionPoint, tuple[str, ...]]] = {
    ExtensionPoint.RULES: ("asked",),
    ExtensionPoint.ENVELOPES: ("packed",),
    ExtensionPoint.SOURCES: ("wanted",),
    ExtensionPoint.CHALLENGERS: ("seed",),
    ExtensionPoint.SINKS: ("offers",),
}
"""What an extension is called with."""


class Installed(NamedTuple):
    """An extension that a package offers: ``target`` is what its entry point names."""

    point: ExtensionPoint
    name: str
    target: str
    distribution: str
    version: str


class Extensions(NamedTuple):
    """What is in force, each held so that it never raises; ``failures`` are counted since.

    ``failures`` are by point and name, for whoever clears them.
    """

    rules: tuple[GuardedRule, ...]
    envelopes: tuple[GuardedEnvelope, ...]
    sources: tuple[GuardedSource, ...]
    failures: Counter[tuple[str, str]]


def installed(point: ExtensionPoint) -> list[Installed]:
    """What packages offer at a point, by name."""
    return sorted(_described(point, each) for each in entry_points(group=point.group))


def loaded(point: ExtensionPoint, name: str) -> Any:
    """The extension of a name.

    Raises
    ------
    ConfigError
        If there is no such, or it is broken.
    """
    found = [each for each in entry_points(group=point.group) if each.name == name]
    if not found:
        raise ConfigError(_unknown(point, name))
    packages = sorted({_of(each) for each in found})
    if len({each.value for each in found}) > 1:
        raise ConfigError(
            f"{_called(point, name)} is offered by {' and by '.join(packages)}: uninstall one"
        )
    try:
        extension = found[0].load()
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(
            f"{_called(point, name)} of {packages[0]} cannot be loaded from {found[0].value}: "
            f"{why}; mend or reinstall it, or do without"
        ) from error
    if fault := _misfit(point, extension):
        raise ConfigError(
            f"{_called(point, name)} of {packages[0]} ({found[0].value}) {fault}: see "
            "stream.extending, or do without"
        )
    return extension


def in_force(settings: Settings) -> Extensions:
    """Everything that the settings name.

    Raises
    ------
    ConfigError
        If something is not there, or broken.
    """
    named, guards = settings.extensions, Guards()
    challengers_in_force(named.challengers, settings.core.seed)  # who learns makes its own
    return Extensions(
        tuple(
            [GuardedRule(name, loaded(ExtensionPoint.RULES, name), guards) for name in named.rules]
        ),
        envelopes_in_force(settings, guards),
        tuple(
            [
                GuardedSource(name, loaded(ExtensionPoint.SOURCES, name), guards)
                for name in named.sources
            ]
        ),
        guards.failures,
    )


def envelopes_in_force(
    settings: Settings, guards: Guards | None = None
) -> tuple[GuardedEnvelope, ...]:
    """The envelopes that the settings name: for whoever reads events, and decides nothing.

    Raises
    ------
    ConfigError
        As `in_force`.
    """
    guards, names = guards or Guards(), settings.extensions.envelopes
    point = ExtensionPoint.ENVELOPES
    return tuple([GuardedEnvelope(name, loaded(point, name), guards) for name in names])


def challengers_in_force(names: Sequence[str], seed: int) -> tuple[GuardedChallenger, ...]:
    """Fresh challengers of these names.

    Raises
    ------
    ConfigError
        As `in_force`.
    """
    guards = Guards()
    return tuple([GuardedChallenger(name, _made(name, seed), guards) for name in names])


def _made(name: str, seed: int) -> Classifier:
    factory, called = (
        loaded(ExtensionPoint.CHALLENGERS, name),
        _called(ExtensionPoint.CHALLENGERS, name),
    )
    try:
        model: Classifier = factory(seed)
    except (Exception, SystemExit) as error:
        why = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{called} makes no model: {why}; mend it, or do without") from error
    lacks = [
        method
        for method in ("learn_one", "predict_proba_one")
        if not callable(getattr(model, method, None))
    ]
    if lacks:
        kind = type(model).__name__
        raise ConfigError(
            f"{called} makes a {kind} without {' and '.join(lacks)}: see stream.extending, or do "
            "without"
        )
    return model


def _described(point: ExtensionPoint, found: EntryPoint) -> Installed:
    package = found.dist
    of = ("?", "?") if package is None else (package.name, package.version)
    return Installed(point, found.name, found.value, *of)


def _of(found: EntryPoint) -> str:
    return "?" if found.dist is None else f"{found.dist.name} {found.dist.version}"


def _called(point: ExtensionPoint, name: str) -> str:
    if point is ExtensionPoint.SINKS:  # a command names it
        return f"the sink {name!r}"
    return f"extensions.{point.value} names {name!r}, which"


def _unknown(point: ExtensionPoint, name: str) -> str:
    there = [each.name for each in installed(point)]
    near = get_close_matches(name, there, n=1, cutoff=0.6)
    if near:
        hint = f"did you mean {near[0]}?"
    elif there:
        hint = f"there are {', '.join(there)}"
    else:
        hint = f"no installed package has an entry point in the group {point.group}"
    return f"{_called(point, name)} is not installed; {hint}"


def _misfit(point: ExtensionPoint, extension: Any) -> str:
    """Why something is no extension of a point; nothing if it may be one."""
    takes = TAKES[point]
    said = f"must be a function of {', '.join(takes)}"
    if inspect.isclass(extension) and point is not ExtensionPoint.CHALLENGERS:
        return f"{said}, and is a class: name an instance"
    if not callable(extension):
        return f"{said}, and is {type(extension).__name__}"
    called = extension if inspect.isroutine(extension) else type(extension).__call__
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        return f"{said}, and is asynchronous: nothing awaits it"
    return "" if _fits(extension, takes) else f"{said}, and takes {_taken(extension)}"


def _fits(extension: Callable[..., Any], takes: Sequence[str]) -> bool:
    try:
        inspect.signature(extension).bind(*takes)
    except TypeError:
        return False
    except ValueError:  # of C, and tells none
        return True
    return True


def _taken(extension: Callable[..., Any]) -> str:
    return str(inspect.signature(extension)).partition(" -> ")[0]

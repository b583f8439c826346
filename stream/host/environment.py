"""Loading: from defaults, a TOML file, the environment and options to one frozen ``Settings``.

Rules:

- Later sources win: defaults < file < environment < options. Each value remembers its source.
- A setting's name is its path, ``kafka.session_timeout``; in the environment it is
  ``OFFERSTREAM_KAFKA__SESSION_TIMEOUT``.
- An unknown name is refused with the nearest known one; a wrong value is refused with its source
  and what is allowed. Each refusal is one ``ConfigError`` of one line.
- ``OFFERSTREAM_TEST_*`` belongs to the tests, and the variables that Kubernetes makes for a
  Service called offerstream are no settings of ours: both are passed over.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, NamedTuple, get_args, get_origin, get_type_hints

from stream.config import ConfigError, Range, Secret, Settings
from stream.reading.encodings import read_toml

PREFIX: Final = "OFFERSTREAM_"
CONFIG_VARIABLE: Final = "OFFERSTREAM_CONFIG"

_SHORT: Final = {
    "OFFERSTREAM_METRICS_HOST": "metrics.host",
    "OFFERSTREAM_METRICS_PORT": "metrics.port",
}
_SERVICE_LINK: Final = re.compile(r".*_SERVICE_(HOST|PORT)(_.*)?|.*_PORT_\d+_(TCP|UDP)(_.*)?")
_WORDS: Final = {"true": True, "yes": True, "on": True, "1": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


class Setting(NamedTuple):
    """One setting: its dotted name, its type, what it may be, and its default."""

    name: str
    type: type
    choices: tuple[str, ...]
    range: Range | None
    default: object

    @property
    def allowed(self) -> str:
        """What the value may be, in words."""
        if self.choices:
            return "one of " + ", ".join(choice or '""' for choice in self.choices)
        words = {
            bool: "true or false",
            int: "a whole number",
            float: "a number",
            tuple: "names with commas between",
        }.get(self.type)
        if words is None:
            return "a text"
        return f"{words} {self.range}" if self.range else words


class Loaded(NamedTuple):
    """The settings, and for each setting's name where its value came from."""

    settings: Settings
    sources: Mapping[str, str]


class _Given(NamedTuple):
    value: object
    source: str
    is_text: bool  # from the environment or an option: a text, whatever the setting's type


@cache
def catalogue() -> Mapping[str, Setting]:
    """Every setting there is, by dotted name, in the order of ``stream/config.py``."""
    return MappingProxyType({setting.name: setting for setting in _walk(Settings(), "")})


def load(
    *,
    file: Path | None = None,
    environ: Mapping[str, str],
    options: Mapping[str, object] | None = None,
    source: str = "command line",
) -> Loaded:
    """Load the settings.

    Parameters
    ----------
    file
        A TOML file; without it, the one that ``OFFERSTREAM_CONFIG`` names, if any.
    environ
        The environment, as ``os.environ``.
    options
        Values by dotted name; None counts as not given.
    source
        What a refusal calls the options' source.

    Raises
    ------
    ConfigError
        For an unknown setting, a wrong value, or a file that can't be read.
    """
    path = file or _path_in(environ)
    given = dict(_from_file(path)) if path else {}
    given.update(_from_environment(environ))
    given.update(_from_options(options or {}, source))
    sources = dict.fromkeys(catalogue(), "default")
    sources.update({name: value.source for name, value in given.items()})
    values = {name: _coerce(catalogue()[name], value) for name, value in given.items()}
    try:
        return Loaded(_build(Settings, "", values), MappingProxyType(sources))
    except ConfigError as error:
        raise ConfigError(_with_sources(str(error), given)) from error


def secrets(settings: Settings) -> list[Secret]:
    """Every setting's value that must never show."""
    values = (setting.default for setting in _walk(settings, ""))
    return [value for value in values if isinstance(value, Secret)]


def shown(settings: Settings) -> dict[str, object]:
    """Every setting's value by dotted name, fit for a terminal or JSON; secrets are masked."""
    return {setting.name: _plain(setting.default) for setting in _walk(settings, "")}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value) if isinstance(value, Secret | Path) else value


def _walk(section: Any, prefix: str) -> Iterator[Setting]:
    hints = get_type_hints(type(section), include_extras=True)
    for each in dataclasses.fields(section):
        value, name = getattr(section, each.name), prefix + each.name
        if dataclasses.is_dataclass(value):
            yield from _walk(value, name + ".")
        else:
            yield _setting(name, hints[each.name], value)


def _setting(name: str, hint: Any, default: object) -> Setting:
    limits = None
    if get_origin(hint) is Annotated:
        hint, limits = get_args(hint)
    choices = get_args(hint) if get_origin(hint) is Literal else ()
    kind = tuple if get_origin(hint) is tuple else str if choices else hint
    return Setting(name, kind, choices, limits, default)


def _path_in(environ: Mapping[str, str]) -> Path | None:
    named = environ.get(CONFIG_VARIABLE)
    return Path(named) if named else None


def _from_file(path: Path) -> Iterator[tuple[str, _Given]]:
    try:
        document = read_toml(path)
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the settings file {path} is not valid TOML: {error}") from error
    for name, value in _flattened(document, "", path):
        yield _known(name, f"file {path}"), _Given(value, f"file {path}", is_text=False)


def _flattened(table: Mapping[str, Any], prefix: str, path: Path) -> Iterator[tuple[str, object]]:
    for key, value in table.items():
        name = prefix + key
        if isinstance(value, dict):
            yield from _flattened(value, name + ".", path)
        elif any(known.startswith(name + ".") for known in catalogue()):
            raise ConfigError(f"{name} in file {path} is a section; write it as [{name}]")
        else:
            yield name, value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, _Given]]:
    for variable in sorted(environ):
        if variable.startswith(PREFIX) and not _is_foreign(variable, environ[variable]):
            dotted = variable.removeprefix(PREFIX).lower().replace("__", ".")
            source = f"environment {variable}"
            name = _SHORT.get(variable) or _known(dotted, source)
            yield name, _Given(environ[variable], source, is_text=True)


def _is_foreign(variable: str, value: str) -> bool:
    if variable == CONFIG_VARIABLE or variable.startswith(PREFIX + "TEST_"):
        return True
    linked = variable.endswith("_PORT") and value.startswith(("tcp://", "udp://"))
    return linked or _SERVICE_LINK.fullmatch(variable) is not None


def _from_options(options: Mapping[str, object], source: str) -> Iterator[tuple[str, _Given]]:
    for name, value in options.items():
        if value is not None:
            is_text = isinstance(value, str)
            yield _known(name, source), _Given(value, source, is_text)


def _known(name: str, source: str) -> str:
    if name in catalogue():
        return name
    near = difflib.get_close_matches(name, catalogue(), n=1, cutoff=0.6)
    near = near or [known for known in catalogue() if known.endswith("." + name)][:1]
    hint = f"did you mean {near[0]}?" if near else "`offerstream config show` lists all"
    raise ConfigError(f"unknown setting {name} ({source}); {hint}")


def _coerce(setting: Setting, given: _Given) -> object:
    value = _parsed(setting.type, given.value) if given.is_text else _typed(setting, given.value)
    fits = value is not None and (not setting.choices or value in setting.choices)
    if fits and (setting.range is None or value in setting.range):
        return value
    shown = " something else" if setting.type is Secret else f" {given.value!r}"
    raise ConfigError(f"{setting.name} ({given.source}) is{shown}; it must be {setting.allowed}")


def _parsed(kind: type, text: object) -> object:
    if not isinstance(text, str):
        return None
    if kind is bool:
        return _WORDS.get(text.strip().lower())
    if kind is tuple:
        return tuple([part.strip() for part in text.split(",")]) if text.strip() else ()
    try:
        value: object = kind(text)
    except ValueError:
        return None
    return value


def _typed(setting: Setting, value: object) -> object:
    if setting.type is float and type(value) is int:
        return float(value)
    if setting.type is tuple and isinstance(value, list | tuple):
        return tuple(value) if all(isinstance(each, str) for each in value) else None
    if setting.type is Path and isinstance(value, str | Path):
        return Path(value)
    if setting.type is Secret and isinstance(value, str):
        return Secret(value)
    return value if type(value) is setting.type else None


def _build(section: type[Any], prefix: str, values: Mapping[str, object]) -> Any:
    hints = get_type_hints(section)
    chosen: dict[str, object] = {}
    for each in dataclasses.fields(section):
        name = prefix + each.name
        if dataclasses.is_dataclass(hints[each.name]):
            chosen[each.name] = _build(hints[each.name], name + ".", values)
        elif name in values:
            chosen[each.name] = values[name]
    return section(**chosen)


def _with_sources(message: str, given: Mapping[str, _Given]) -> str:
    named = set(re.findall(r"[a-z_]+(?:\.[a-z_]+)*", message))
    origins = [f"{name} from {given[name].source}" for name in sorted(named & given.keys())]
    return f"{message} ({'; '.join(origins)})" if origins else message

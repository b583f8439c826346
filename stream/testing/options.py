"""The settings of a shop under test, its campaigns and its catalog, as callers give them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import orjson

from stream.codec.campaign_files import FileFault, read_folder
from stream.codec.reference import ReferenceDecoder, encode_campaign, encode_item
from stream.codec.schema import load_schemas
from stream.config import ConfigError, Settings
from stream.domain.event import Campaign, CatalogItem, Rejection
from stream.host.environment import load

Given: TypeAlias = Settings | Mapping[str, object] | Path | str | None
Campaigns: TypeAlias = Path | str | Iterable[Mapping[str, Any] | Campaign]
Items: TypeAlias = Iterable[Mapping[str, Any] | CatalogItem]

DEFAULTS: Final[Mapping[str, object]] = MappingProxyType(
    {
        "partitions": 1,
        "core.decisions_share": 1.0,
        "core.policy.holdout": 0.0,
        "core.policy.exploration": 0.0,
        "learning.propensity_bits": 12,
        "learning.items": 4_096,
        "learning.sessions": 4_096,
        "learning.baskets": 4_096,
    }
)
"""How a shop under test differs from one that runs, where nobody says how it is to be.

Nobody is held out and nothing explored, so that what a customer gets does not depend on the
customer's id; every moment is told on ``decisions``; models are small.
"""


def settings_of(given: Given, directory: Path) -> Settings:
    """The settings of a shop under test that lives in a directory, its tables in memory.

    Parameters
    ----------
    given
        Values by name on top of `DEFAULTS`; or a TOML file, or settings, that are taken as they
        are. Where topics and tables are is the driver's in any case.
    directory

    Raises
    ------
    ConfigError
        For an unknown setting, a wrong value, or a file that cannot be read.
    """
    if given is None or isinstance(given, Mapping):
        options = {**DEFAULTS, **(given or {})}
        settings = load(environ={}, options=options, source="Driver").settings
    elif isinstance(given, Settings):
        settings = given
    else:
        settings = load(file=Path(given), environ={}).settings
    return replace(
        settings,
        broker=f"local://{(directory / 'log').absolute()}",
        data_dir=directory / "state",
        store="memory",
        embedded=replace(settings.embedded, fsync="never"),
    )


def campaigns_of(given: Campaigns, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Id and bytes of each campaign; of a folder, by the rules of ``offerstream campaigns``.

    Raises
    ------
    ConfigError
        If one is none, in one line that says what is wrong with it.
    """
    schemas = load_schemas()
    decoder = ReferenceDecoder(schemas, settings.core)
    if isinstance(given, Path | str):
        try:
            written = read_folder(Path(given), schemas.of("campaigns"), decoder)
        except FileFault as fault:
            raise ConfigError(f"campaigns in {given}: {fault}") from None
        except OSError as error:
            raise ConfigError(f"campaigns: cannot read {given}: {error.strerror}") from None
        if not written:
            raise ConfigError(f"campaigns: there is no .yaml file in {given}")
        given = [one.campaign for one in written]
    for one in given:
        value = encode_campaign(one) if isinstance(one, Campaign) else _json(one, "a campaign")
        name = _id(value, "campaign_id")
        _demand(decoder.decode_campaign(name.encode(), value), "campaign", name)
        yield name, value


def items_of(given: Items, settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Id and bytes of each product; as `campaigns_of`."""
    decoder = ReferenceDecoder(load_schemas(), settings.core)
    for one in given:
        value = encode_item(one) if isinstance(one, CatalogItem) else _json(one, "a product")
        name = _id(value, "product_id")
        _demand(decoder.decode_catalog(name.encode(), value), "product", name)
        yield name, value


def _json(one: object, what: str) -> bytes:
    if not isinstance(one, Mapping):
        raise ConfigError(f"{what} is an object of fields, not {type(one).__name__}")
    try:
        return orjson.dumps(one)
    except TypeError as error:  # orjson.JSONEncodeError is one
        raise ConfigError(f"{what} is no JSON: {error}") from None


def _id(value: bytes, field: str) -> str:
    return str(orjson.loads(value).get(field, ""))


def _demand(entry: object, what: str, name: str) -> None:
    if isinstance(entry, Rejection):
        raise ConfigError(f"{what} {name!r}: {entry.detail} ({entry.code})")

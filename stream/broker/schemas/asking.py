"""Asking a Schema Registry for a schema, over Confluent's REST interface.

Rules. Only the address in the settings is asked: no redirect is followed and no proxy of the
environment is used. An answer is read up to a size and in a time, schemas that a schema refers to
in a number and to a depth. That a registry does not know a schema is its own answer, by its codes;
any other failure says nothing of the schema, and may pass.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import quote
from uuid import UUID

import aiohttp
import orjson

from stream.codec.registry.frames import SchemaId
from stream.codec.registry.translating import Definition
from stream.config import ConfigError, KafkaSettings

LARGEST: Final = 1 << 20
"""Bytes of an answer, and of a schema's text with all that it refers to."""
REFERENCES: Final = 64
"""Schemas that a schema refers to, by others too, at most."""
DEPTH: Final = 8
"""Schemas that refer to one another in a row, at most."""
_ACCEPT: Final = "application/vnd.schemaregistry.v1+json, application/json"
_NONE: Final = "its answer has references that are none"
_HIGHEST: Final = 2**31 - 1


class Unknown(Exception):
    """The registry answered: there is no such schema, or none that is read; says why."""


class Failed(Exception):
    """The registry did not answer as one does; says why, and holds nothing of what it said."""


class _Reference(NamedTuple):
    name: str
    subject: str
    version: int


class Asking:
    """A client of one registry; all but making it belongs into one event loop.

    Parameters
    ----------
    settings
        Address, login, certificate authority and how long to wait for an answer.

    Raises
    ------
    ConfigError
        If the file of the certificate authority can't be used.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._url = settings.schema_registry_url.rstrip("/")
        self._timeout = settings.schema_registry_timeout
        self._tls = _tls(settings)
        self._headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity"}
        token = settings.schema_registry_token.reveal()
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        elif settings.schema_registry_username:
            password = settings.schema_registry_password.reveal()
            login = f"{settings.schema_registry_username}:{password}".encode()
            self._headers["Authorization"] = f"Basic {b64encode(login).decode()}"
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections; another question opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def definition(self, schema: SchemaId) -> Definition:
        """Ask for a schema and all that it refers to.

        Raises
        ------
        Unknown
            If the registry knows none, or it is too large.
        Failed
            If it did not answer, or with something else.
        """
        if isinstance(schema, UUID):
            path = f"schemas/guids/{schema}"
        elif schema > _HIGHEST:  # of Java's, where ids are signed: it would not know what is asked
            raise Unknown("ids are below 2,147,483,648")
        else:
            path = f"schemas/ids/{schema}"
        told = await self._schema(path, "", by_guid=isinstance(schema, UUID))
        kind = told.get("schemaType") or "AVRO"
        if kind == "PROTOBUF":
            told = await self._schema(path, "?format=serialized", by_guid=isinstance(schema, UUID))
        text = _text(told)
        if kind == "JSON":
            return Definition(kind, "")
        referenced = await self._referenced(told, kind, len(text))
        return Definition(str(kind), text, referenced)

    async def is_well(self) -> bool:
        """Whether the registry answers what has nothing to do with a schema."""
        try:
            status, told = await self._get("schemas/types")
        except Failed:
            return False
        return status == 200 and isinstance(told, list) and "AVRO" in told

    async def _referenced(
        self, told: Mapping[str, Any], kind: str, size: int
    ) -> tuple[tuple[str, str], ...]:
        """The schemas that a schema refers to, each behind those that it refers to itself."""
        found: dict[str, str] = {}
        query = "?format=serialized" if kind == "PROTOBUF" else ""
        asked = 0

        async def follow(told: Mapping[str, Any], level: int) -> None:
            nonlocal asked, size
            for reference in _references(told):
                if reference.name in found:
                    continue
                asked += 1
                if level >= DEPTH or asked > REFERENCES:
                    raise Unknown("it refers to too many other schemas")
                subject = quote(reference.subject, safe="")
                path = f"subjects/{subject}/versions/{reference.version}"
                inner = await self._schema(path, query)
                text = _text(inner)
                size += len(text)
                if size > LARGEST:
                    raise Unknown(f"with what it refers to, it is over {LARGEST:,} bytes")
                await follow(inner, level + 1)
                found[reference.name] = text

        await follow(told, 0)
        return tuple(found.items())

    async def _schema(self, path: str, query: str, by_guid: bool = False) -> Mapping[str, Any]:
        status, told = await self._get(path + query)
        if status == 404:
            code = told.get("error_code") if isinstance(told, dict) else None
            # A registry of before GUIDs has no such address; a wrong address knows no codes.
            if code in (40401, 40402, 40403) or (by_guid and code == 404):
                raise Unknown("it knows none of that id")
        if status != 200:
            raise Failed(f"HTTP {status}")
        if not (isinstance(told, dict) and isinstance(told.get("schema"), str)):
            raise Failed("its answer holds no schema")
        return told

    async def _get(self, path: str) -> tuple[int, Any]:
        try:
            async with asyncio.timeout(self._timeout):
                return await self._answer(path)
        except TimeoutError:
            raise Failed(f"no answer in {self._timeout:g} s") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise Failed(_why(error)) from None

    async def _answer(self, path: str) -> tuple[int, Any]:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                headers=self._headers,
                trust_env=False,
                auto_decompress=False,
                connector=aiohttp.TCPConnector(ssl=self._tls, limit=8),
                timeout=aiohttp.ClientTimeout(total=None),
            )
        async with self._session.get(f"{self._url}/{path}", allow_redirects=False) as response:
            raw = bytearray()
            async for chunk in response.content.iter_chunked(1 << 16):
                raw += chunk
                if len(raw) > LARGEST:
                    if response.status == 200 and path.startswith("schemas/"):
                        raise Unknown(f"it is over {LARGEST:,} bytes")
                    raise Failed("its answer is too large")
            try:
                return response.status, orjson.loads(raw)
            except orjson.JSONDecodeError:
                return response.status, None


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    file = settings.schema_registry_ca_file
    try:
        return ssl.create_default_context(cafile=file or None)
    except OSError as error:
        why = error.strerror or str(error)
        text = f"kafka.schema_registry_ca_file {file} can't be used: {why}"
        raise ConfigError(text) from error


def _text(told: Mapping[str, Any]) -> str:
    text: str = told["schema"]
    return text


def _references(told: Mapping[str, Any]) -> list[_Reference]:
    said = told.get("references") or []
    if not isinstance(said, list):
        raise Failed(_NONE)
    found = []
    for one in said:
        told_of = one if isinstance(one, dict) else {}
        name, subject, version = (told_of.get(field) for field in _Reference._fields)
        if not (isinstance(name, str) and isinstance(subject, str) and isinstance(version, int)):
            raise Failed(_NONE)
        found.append(_Reference(name, subject, version))
    return found


def _why(error: Exception) -> str:
    """What went wrong in a connection, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "its certificate is not one that kafka.schema_registry_ca_file vouches for"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot connect: {error.os_error.strerror or type(error.os_error).__name__}"
    return type(error).__name__

"""Connections to Kafka: how every client of ours logs in, and what it is told when it can't.

Rules: TLS checks the broker's certificate and name, always; a password goes over TLS unless the
settings say otherwise (they refuse to exist else); no login is ever part of a message. A client
that a worker opens while it runs waits for a broker that is away, as its other clients do.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final

from aiokafka.errors import KafkaConnectionError, KafkaError, NodeNotReadyError

from stream.config import ConfigError, KafkaSettings, Settings

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

BETWEEN: Final = 0.5  # seconds until a broker that was away is asked again


def client_options(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments with which an aiokafka client reaches the cluster.

    Raises
    ------
    ConfigError
        If a certificate file can't be used.
    """
    kafka = settings.kafka
    options: dict[str, Any] = {
        "bootstrap_servers": list(settings.bootstrap_servers),
        "security_protocol": ("SASL_" if kafka.sasl_mechanism else "")
        + ("SSL" if kafka.tls else "PLAINTEXT"),
        "ssl_context": tls_context(kafka),
        "request_timeout_ms": int(kafka.request_timeout * 1000),
    }
    if kafka.sasl_mechanism:
        options |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.reveal(),
        }
    return options


async def answers(settings: Settings, seconds: float) -> bool:
    """Whether any broker of the cluster answers within some seconds."""
    from aiokafka.client import AIOKafkaClient

    options = client_options(settings) | {"request_timeout_ms": int(seconds * 1000)}
    client = AIOKafkaClient(**options)
    try:
        async with asyncio.timeout(seconds):
            await client.bootstrap()
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
    return True


def may_pass(error: KafkaError) -> bool:
    """Whether asking again may help: a broker was away, or does not know yet."""
    return error.retriable or isinstance(error, KafkaConnectionError | NodeNotReadyError)


async def started(make: Callable[[], Any], patience: float = inf) -> Any:
    """Start what ``make`` makes of aiokafka's clients, as soon as a broker answers.

    Raises
    ------
    KafkaError
        If none did for ``patience`` seconds, or asking again would not help.
    """
    give_up = monotonic() + patience
    while True:
        client = make()
        try:
            await client.start()
        except BaseException as error:
            await client.stop()
            if not isinstance(error, KafkaError) or not may_pass(error) or monotonic() > give_up:
                raise
        else:
            return client
        await asyncio.sleep(BETWEEN)


class Heard:
    """When a broker last answered a client, whatever it was asked.

    Parameters
    ----------
    client
        A started ``AIOKafkaClient``: heartbeats, fetches and commits all go through it.
    """

    def __init__(self, client: Any) -> None:
        self._last, send = monotonic(), client.send

        async def sent(*args: Any, **options: Any) -> Any:
            response = await send(*args, **options)
            self._last = monotonic()
            return response

        client.send = sent

    def silence(self) -> float:
        """Seconds since."""
        return monotonic() - self._last


async def stopped(client: Any) -> None:
    """Stop one of aiokafka's clients; that a fetch of its is cancelled ends nobody else.

    aiokafka awaits the fetches that it cancels, and raises what they do.
    """
    await asyncio.wait({asyncio.ensure_future(client.stop())})


@contextmanager
def overheard() -> Iterator[list[str]]:
    """Keep what aiokafka would log: it raises without the reason, and logs that."""
    logger, heard = logging.getLogger("aiokafka"), list[str]()
    handler = _Listener(heard)
    propagated, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield heard
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagated


class _Listener(logging.Handler):
    def __init__(self, heard: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._heard = heard

    def emit(self, record: logging.LogRecord) -> None:
        self._heard.append(record.getMessage())


def faust_credentials(kafka: KafkaSettings) -> CredentialsT | None:
    """Return Faust's ``broker_credentials``: none for plain text without a login.

    Raises
    ------
    ConfigError
        If a certificate file can't be used.
    """
    from faust.auth import SASLCredentials, SSLCredentials  # Faust is slow to import

    context = tls_context(kafka)
    if kafka.sasl_mechanism:
        return SASLCredentials(
            username=kafka.sasl_username,
            password=kafka.sasl_password.reveal(),
            ssl_context=context,
            mechanism=kafka.sasl_mechanism,
        )
    return SSLCredentials(context) if context else None


def tls_context(kafka: KafkaSettings) -> ssl.SSLContext | None:
    """Return the TLS context, or None where the settings ask for plain text.

    Raises
    ------
    ConfigError
        If a certificate file can't be used.
    """
    if not kafka.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=kafka.ca_file or None)
    except OSError as error:  # an SSLError is one, too
        raise ConfigError(f"kafka.ca_file {kafka.ca_file} can't be used: {_why(error)}") from error
    if kafka.cert_file:
        try:
            context.load_cert_chain(kafka.cert_file, kafka.key_file)
        except OSError as error:
            raise ConfigError(
                f"kafka.cert_file {kafka.cert_file} with kafka.key_file {kafka.key_file} "
                f"can't be used: {_why(error)}"
            ) from error
    return context


def _why(error: OSError) -> str:
    return error.strerror or str(error)

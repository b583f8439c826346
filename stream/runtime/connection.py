"""Connections to Kafka: how every client of ours logs in, and what it is told when it can't.

Rules: TLS checks the broker's certificate and name, always; a password goes over TLS unless the
settings say otherwise (they refuse to exist else); no login is ever part of a message.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from stream.config import ConfigError, KafkaSettings, Settings

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT


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

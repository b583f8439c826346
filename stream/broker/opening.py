"""Opening what the settings name: the one place that asks whether it is Kafka or a local log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from stream.broker.local.log import Log
from stream.broker.protocol import Broker
from stream.broker.topics import Cluster
from stream.config import Settings


def open_broker(settings: Settings, *, make: bool = False) -> AbstractAsyncContextManager[Broker]:
    """Open the settings' broker for a command; a context manager.

    Parameters
    ----------
    settings
    make
        Whether the directory of a local log is made where there is none.

    Raises
    ------
    ConfigError
        If the broker does not answer or fails, the login is refused, the local log is open
        elsewhere or damaged.
    """
    if settings.embedded_log is not None:
        from stream.broker.local.broker import opened

        return opened(settings, make=make)
    from stream.broker.kafka.broker import connected

    return connected(settings)


def broker_of(settings: Settings, log: Callable[[], Log]) -> Broker:
    """The settings' broker as a worker asks it; ``log`` gives the local log that it has open."""
    if settings.embedded_log is not None:
        from stream.broker.local.broker import LocalBroker

        return LocalBroker(log)
    from stream.broker.kafka.broker import KafkaBroker

    return KafkaBroker(settings)


def open_cluster(settings: Settings) -> AbstractAsyncContextManager[Cluster]:
    """Open the settings' topics, to see to them; a context manager.

    Raises
    ------
    ConfigError
        On entering, if the broker doesn't answer or the directory can't be used.
    """
    if settings.embedded_log is not None:
        from stream.broker.local.admin import open_local

        return open_local(settings)
    from stream.broker.kafka.admin import open_kafka

    return open_kafka(settings)

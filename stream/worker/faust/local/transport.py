"""The transport: Faust on a local log, ``local:///absolute/path`` or ``local://./relative/path``.

- One process, one member in the consumer group, every partition its own. Transactions and threaded
  producers, which it has not, are refused when the transport is made.
- The log is opened on first use and closed when the app has stopped. Who wants it for longer, to
  publish before or to read afterwards, opens it and hands it over: ``app.transport.log = log``.

Query of the URL: ``partitions`` (of topics that nobody declared; else ``topic_partitions`` of the
app), ``fsync`` (``always``, ``interval``, ``never``), ``segment_bytes``, ``compact_bytes``.
"""

from __future__ import annotations

import asyncio

from faust.transport import base
from faust.types import AppT
from faust.types.enums import ProcessingGuarantee
from yarl import URL

from stream.config import ConfigError
from stream.worker.faust.local.consumer import Consumer
from stream.worker.faust.local.producer import Producer
from stream.worker.faust.local.shared import Location, SharedLog


class Transport(SharedLog, base.Transport):
    """Faust's transport over a local log."""

    Consumer = Consumer
    Producer = Producer
    driver_version = "offerstream local log"

    def __init__(
        self, url: list[URL], app: AppT, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        base.Transport.__init__(self, url, app, loop)
        _check_possible(app)
        SharedLog.__init__(self, Location.parse(url[0]), app.conf.topic_partitions)


def _check_possible(app: AppT) -> None:
    guarantee: object = app.conf.processing_guarantee  # annotated as the enum's class in Faust
    if guarantee == ProcessingGuarantee.EXACTLY_ONCE:
        raise ConfigError(
            "processing_guarantee: a local log has no transactions; set at_least_once, "
            "and make updates idempotent"
        )
    if app.conf.producer_threaded:
        raise ConfigError(
            "producer_threaded: a local log's producer has no thread; set it to false"
        )

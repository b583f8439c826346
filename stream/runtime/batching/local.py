"""Faust's transport over the local log, with batches in both directions."""

from __future__ import annotations

from stream.runtime.batching.consumer import BatchingConsumer
from stream.runtime.local import transport as driver


class LocalConsumer(BatchingConsumer, driver.Consumer):  # type: ignore[misc]
    """Batches from the local log."""


class LocalTransport(driver.Transport):  # type: ignore[misc]
    """The local log with batches; its producer writes them as it is."""

    Consumer = LocalConsumer

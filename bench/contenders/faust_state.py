"""The state job on stock Faust, as its guide has it: an agent, a table by key, ``topic.send``.

Codecs are raw, since the core has its own: faster than Faust's Records would be.
"""

from __future__ import annotations

from typing import Any

import faust

from bench.contenders.core import StateJob
from bench.run import Run


def build(run: Run) -> faust.App:
    """The application."""
    job = StateJob(run)
    app = faust.App(
        run.group,
        broker=f"kafka://{run.broker}",
        datadir=f"{run.directory}/faust",
        store="rocksdb://",
        topic_partitions=run.partitions,
        web_enabled=False,
        key_serializer="raw",
        value_serializer="raw",
    )
    clicks = app.topic(f"{run.prefix}clicks", key_type=bytes, value_type=bytes)
    offers = app.topic(f"{run.prefix}offers", key_type=bytes, value_type=bytes)
    customers = app.Table("customers", key_type=bytes, value_type=bytes, partitions=run.partitions)

    @app.agent(clicks)
    async def decide(stream: Any) -> None:
        async for event in stream.events():
            message, key = event.message, event.key
            time = round(message.timestamp * 1000)
            stored = customers.get(key)
            state, offer = job.take(
                message.partition, message.offset, time, key, event.value, stored
            )
            customers[key] = state
            if offer is not None:
                await offers.send(key=key, value=offer)

    return app


if __name__ == "__main__":
    faust.Worker(build(Run.told()), loglevel="warning").execute_from_commandline()

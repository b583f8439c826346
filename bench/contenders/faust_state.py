"""The state job on stock Faust, as its guide has it: an agent, a table by key, ``topic.send``."""

from __future__ import annotations

from typing import Any

import faust

from bench.contenders.tally import decode, take
from bench.told import Told


def build(run: Told) -> faust.App:
    """The application."""
    app = faust.App(
        run.group,
        broker=f"kafka://{run.broker}",
        datadir=f"{run.directory}/faust",
        store="rocksdb://",
        topic_partitions=run.partitions,
        web_enabled=False,
    )
    clicks = app.topic(
        f"{run.prefix}clicks", key_type=str, value_type=bytes, value_serializer="raw"
    )
    offers = app.topic(f"{run.prefix}offers", key_type=str)
    customers = app.Table("customers", partitions=run.partitions)

    @app.agent(clicks)
    async def decide(stream: Any) -> None:
        async for event in stream.events():
            click, message = decode(event.value), event.message
            stored = customers.get(click.customer_id)
            customer, offer = take(stored, click, message.partition, message.offset)
            if offer is not None:
                customers[click.customer_id] = customer
                await offers.send(key=click.customer_id, value=offer)

    return app


if __name__ == "__main__":
    faust.Worker(build(Told.told()), loglevel="warning").execute_from_commandline()

"""The whole job on stock Faust with river: Records, a table of dictionaries, ``topic.send``."""

from __future__ import annotations

from typing import Any

import faust

from bench.contenders.shop import Shop
from bench.told import Told


class Click(faust.Record, validation=True):
    """A click, checked by Faust."""

    event_id: str
    customer_id: str
    timestamp: int
    event: str
    product_id: str
    price_minor: int
    currency: str
    category: str
    brand: str
    quantity: int
    session_id: str


def build(run: Told) -> faust.App:
    """The application."""
    shop = Shop()
    app = faust.App(
        run.group,
        broker=f"kafka://{run.broker}",
        datadir=f"{run.directory}/faust",
        store="rocksdb://",
        topic_partitions=run.partitions,
        web_enabled=False,
    )
    clicks = app.topic(f"{run.prefix}clicks", key_type=str, value_type=Click)
    offers = app.topic(f"{run.prefix}offers", key_type=str)
    customers = app.Table("customers", default=dict, partitions=run.partitions)

    @app.agent(clicks)
    async def decide(stream: Any) -> None:
        async for click in stream:
            customer, offer = shop.take(customers[click.customer_id], click.asdict())
            customers[click.customer_id] = customer
            if offer is not None:
                await offers.send(key=click.customer_id, value=offer)

    return app


if __name__ == "__main__":
    faust.Worker(build(Told.told()), loglevel="warning").execute_from_commandline()

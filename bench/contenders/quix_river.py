"""The whole job on quixstreams with river: JSON values, JSON state, a StreamingDataFrame."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State

from bench.contenders.shop import Record, Shop, check
from bench.told import Told


def main(run: Told) -> None:
    """Work until SIGTERM."""
    shop = Shop()
    app = Application(
        broker_address=run.broker,
        consumer_group=run.group,
        auto_offset_reset="earliest",
        state_dir=f"{run.directory}/quix",
        loglevel="WARNING",
    )
    clicks = app.topic(f"{run.prefix}clicks", value_deserializer="json")
    offers = app.topic(f"{run.prefix}offers", value_serializer="json")

    def decide(click: dict[str, Any], state: State) -> Record | None:
        check(click)
        customer, offer = shop.take(state.get("customer", {}), click)
        state.set("customer", customer)
        return offer

    frame = app.dataframe(clicks)
    frame = frame.apply(decide, stateful=True)
    frame = frame.filter(lambda offer: offer is not None)
    frame.to_topic(offers)
    app.run()


if __name__ == "__main__":
    main(Told.told())

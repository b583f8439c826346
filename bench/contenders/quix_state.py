"""The state job on quixstreams, as its guide has it: a StreamingDataFrame with state."""

from __future__ import annotations

from quixstreams import Application, State, message_context

from bench.contenders.tally import Record, decode, take
from bench.told import Told


def main(run: Told) -> None:
    """Work until SIGTERM."""
    app = Application(
        broker_address=run.broker,
        consumer_group=run.group,
        auto_offset_reset="earliest",
        state_dir=f"{run.directory}/quix",
        loglevel="WARNING",
    )
    clicks = app.topic(f"{run.prefix}clicks", value_deserializer="bytes")
    offers = app.topic(f"{run.prefix}offers", value_serializer="json")

    def decide(value: bytes, state: State) -> Record | None:
        context = message_context()
        stored = state.get("customer")
        customer, offer = take(stored, decode(value), context.partition, context.offset)
        if offer is not None:
            state.set("customer", customer)
        return offer

    frame = app.dataframe(clicks)
    frame = frame.apply(decide, stateful=True)
    frame = frame.filter(lambda offer: offer is not None)
    frame.to_topic(offers)
    app.run()


if __name__ == "__main__":
    main(Told.told())

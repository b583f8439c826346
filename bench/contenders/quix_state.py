"""The state job on quixstreams, as its guide has it: a StreamingDataFrame with state."""

from __future__ import annotations

from typing import Any

from quixstreams import Application, State, message_context

from bench.contenders.core import StateJob
from bench.run import Run


def main(run: Run) -> None:
    """Work until SIGTERM."""
    job = StateJob(run)
    app = Application(
        broker_address=run.broker,
        consumer_group=run.group,
        auto_offset_reset="earliest",
        state_dir=f"{run.directory}/quix",
        loglevel="WARNING",
    )
    clicks = app.topic(f"{run.prefix}clicks", value_deserializer="bytes")
    offers = app.topic(f"{run.prefix}offers", value_serializer="bytes")

    def decide(value: bytes, key: Any, timestamp: int, headers: Any, state: State) -> bytes | None:
        context = message_context()
        stored = state.get_bytes("customer")
        record, offer = job.take(context.partition, context.offset, timestamp, key, value, stored)
        state.set_bytes("customer", record)
        return offer

    frame = app.dataframe(clicks)
    frame = frame.apply(decide, stateful=True, metadata=True)
    frame = frame.filter(lambda offer: offer is not None)
    frame.to_topic(offers)
    app.run()


if __name__ == "__main__":
    main(Run.told())

"""A job on Pathway: a stateful reducer by key, its new offers as a stream, Kafka on both sides.

Rows of one minibatch come in any order, so they are sorted by offset; updates of a key within a
minibatch collapse, so its offers are a tuple that is flattened. Persistence of operators wants a
licence key; what is free is a journal of the input (``PERSISTING``). The backlog is bounded, or
all that waits would be read into a few minibatches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pathway as pw

from bench.told import Told

COMMIT_MS, JOURNAL_MS, BACKLOG = 100, 5_000, 10_000

Row: TypeAlias = tuple[bytes, int, int]  # a record's value, partition and offset
Decide: TypeAlias = Callable[[bytes | None, Row], tuple[bytes, bytes | None]]


def work(run: Told, decide: Decide) -> None:
    """Work until killed: customer's record and row in, record and offer out."""
    settings = {
        "bootstrap.servers": run.broker,
        "group.id": run.group,
        "auto.offset.reset": "earliest",
    }
    clicks = pw.io.kafka.read(
        settings,
        f"{run.prefix}clicks",
        format="raw",
        with_metadata=True,
        autogenerate_key=True,
        autocommit_duration_ms=COMMIT_MS,
        max_backlog_size=BACKLOG,
        name="clicks",
    )
    clicks = clicks.select(
        pw.this.key,
        pw.this.data,
        partition=pw.this._metadata["partition"].as_int(),
        offset=pw.this._metadata["offset"].as_int(),
    )

    def step(
        state: tuple[bytes, tuple[bytes, ...]] | None, rows: Sequence[tuple[Row, int]]
    ) -> tuple[bytes, tuple[bytes, ...]]:
        stored = None if state is None else state[0]
        offers = []
        for row, _ in sorted(rows, key=lambda counted: counted[0][2]):
            stored, offer = decide(stored, row)
            if offer is not None:
                offers.append(offer)
        assert stored is not None, "there are always rows"
        return stored, tuple(offers)

    stateful = pw.reducers.stateful_many(step)
    customers = clicks.groupby(pw.this.key).reduce(
        pw.this.key, state=stateful(pw.this.data, pw.this.partition, pw.this.offset)
    )
    states: Any = pw.declare_type(tuple[bytes, tuple[bytes, ...]], pw.this.state)
    offers = customers.to_stream().select(
        pw.this.key, offer=pw.declare_type(tuple[bytes, ...], states[1])
    )
    offers = offers.flatten(pw.this.offer)
    pw.io.kafka.write(
        offers,
        settings,
        f"{run.prefix}offers",
        format="raw",
        key=offers.key,
        value=offers.offer,
    )
    pw.run(
        monitoring_level=pw.MonitoringLevel.NONE,
        persistence_config=pw.persistence.Config(
            pw.persistence.Backend.filesystem(f"{run.directory}/pathway"),
            snapshot_interval_ms=JOURNAL_MS,
            persistence_mode=pw.PersistenceMode.PERSISTING,
        ),
    )

"""What a table of stock Faust, written as its guide has it, loses or counts twice under kills.

One agent counts in one table, by customer; nothing is done about repetitions, so the oracle takes
every readable record for one to count. Guarantee, acknowledgements and commits are Faust's own.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import faust

from stream.broker.records import Record
from stream.broker.whole import read_topic
from tests.chaos.faults import Load, kills
from tests.chaos.judging import compared, judged
from tests.chaos.lab import SESSION, Lab
from tests.chaos.lives import born
from tests.chaos.points import Doom
from tests.chaos.shop import Oracle
from tests.kafka.broker import Broker

TABLE = "counts"


def build(lab: Lab, store: str, directory: str) -> faust.App:
    """The application."""
    settings = lab.settings
    app = faust.App(
        settings.app_id,
        broker=settings.broker,
        datadir=directory,
        store=store,
        topic_partitions=settings.partitions,
        web_enabled=False,
        broker_session_timeout=SESSION,
        broker_heartbeat_interval=SESSION / 3,
    )
    inputs = (settings.topics.clicks, settings.topics.purchases)
    records = app.topic(*inputs, key_serializer="raw", value_serializer="raw")
    customers = app.Table(TABLE, default=dict, partitions=settings.partitions)

    @app.agent(records)
    async def count(stream: Any) -> None:
        async for value in stream:
            try:
                event = json.loads(value)
            except ValueError:
                continue
            customers[event["customer_id"]] = _counted(customers[event["customer_id"]], event)

    return app


def _counted(totals: Mapping[str, int], event: Mapping[str, Any]) -> dict[str, int]:
    oracle = Oracle()
    oracle.count(event)
    known = {name: totals.get(name, 0) for name in {*totals, *oracle.totals[event["customer_id"]]}}
    return {name: n + oracle.totals[event["customer_id"]][name] for name, n in known.items()}


def life(environ: Mapping[str, str], folder: Path, doom: Doom | None, lab: Lab, store: str) -> None:
    """Be a worker of stock Faust until the end."""
    born(environ, folder, doom)
    sys.argv[:] = ["stock", "worker"]
    directory = os.environ["OFFERSTREAM_DATA_DIR"]
    faust.Worker(build(lab, store, directory), loglevel="warning").execute_from_commandline()


def found(lab: Lab) -> dict[str, dict[str, int]]:
    """What the table says in the end, by its changelog."""
    kept: dict[str, dict[str, int]] = {}

    def take(record: Record) -> None:
        kept[json.loads(record.key or b"")] = json.loads(record.value or b"{}")

    topic = f"{lab.settings.app_id}-{TABLE}-changelog"
    read_topic(lab.settings, topic, lab.settings.partitions, take)
    return kept


def side_by_side(load: Load, cycles: int) -> dict[str, Any]:
    """The same load and the same kills, one after the other."""
    result: dict[str, Any] = {"seed": load.seed, "kills": cycles}
    with (
        tempfile.TemporaryDirectory(prefix="chaos-") as name,
        Broker(Path(name) / "kafka") as kafka,
    ):
        for contender, store in {
            "offerstream": None,
            "stock_faust_memory": "memory://",
            "stock_faust_rocksdb": "rocksdb://",
        }.items():
            lab = Lab.on(kafka.address, f"{secrets.token_hex(4)}-", Path(name) / contender)
            if store is None:
                asyncio.run(kills(lab, load, cycles, pauses=0.0))
                told = judged(lab.settings)
            else:
                lived = partial(life, lab=lab, store=store)
                asyncio.run(kills(lab, load, cycles, pauses=0.0, lived=lived))
                told = compared(Oracle.of(lab.settings, repetitions=True), found(lab))
            result[contender] = {n: told[n] for n in ("events", "lost", "double_counted")}
            print(contender, result[contender], flush=True)
    return result

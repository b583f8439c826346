"""A job on Bytewax, as its guide has it: KafkaSource, a key, stateful_flat_map, KafkaSink.

An epoch of 5 s and recovery on disk, so that a customer's record outlives the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, TypeAlias

import bytewax.operators as op
from bytewax._bytewax import cli_main  # what ``python -m bytewax.run`` calls
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.recovery import RecoveryConfig, init_db_dir

from bench.told import Told

EPOCH = timedelta(seconds=5)

Decide: TypeAlias = Callable[[Any, Any], tuple[Any, Iterable[bytes]]]


def work(run: Told, decide: Decide) -> None:
    """Work until killed: customer's record and message in, record and offers out."""
    flow = Dataflow("offers")
    clicks = op.input("clicks", flow, KafkaSource([run.broker], [f"{run.prefix}clicks"]))
    keyed = op.key_on("customer", clicks, lambda message: message.key.decode())
    offers = op.stateful_flat_map("decide", keyed, decide)
    sent = op.map("message", offers, lambda kv: KafkaSinkMessage(kv[0].encode(), kv[1]))
    op.output("offers", sent, KafkaSink([run.broker], f"{run.prefix}offers"))
    directory = run.path / "bytewax"
    if not directory.exists():
        directory.mkdir()
        init_db_dir(directory, 1)
    cli_main(flow, epoch_interval=EPOCH, recovery_config=RecoveryConfig(directory))

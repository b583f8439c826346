"""What is private in Faust and aiokafka, and touched by us, is as it was when ADR 1 was written.

A failure here means that a new version changed something under ``stream/worker/faust``: read the
named function again, mend what rests on it, then this table.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.consumer.fetcher import Fetcher, FetchResult, PartitionRecords
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.consumer.subscription_state import SubscriptionState
from faust.app.base import App
from faust.stores.memory import Store as MemoryStore
from faust.stores.rocksdb import Store as RocksStore
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.tables.table import Table
from faust.transport.consumer import Consumer
from faust.transport.drivers import aiokafka as driver
from mode import Service

ROOT = Path(__file__).resolve().parents[2]

#: Functions that are overridden or called: their parameters, as ``name`` or ``name=default``.
FUNCTIONS: dict[Any, dict[str, str]] = {
    Consumer: {
        "_drain_messages": "self, fetcher",
        "_filter_tps_with_pending_acks": "self, topics=None",
        "_get_active_partitions": "self",
        "_new_offset": "self, tp",
        "_wait_next_records": "self, timeout",
        "ack": "self, message",
        "on_partitions_revoked": "self, revoked",
        "perform_seek": "self",
        "resume_flow": "self",
        "resume_partitions": "self, tps",
        "stop_flow": "self",
        "wait_empty": "self",
    },
    driver.Consumer: {
        "_commit": "self, offsets",
        "_getmany": "self, active_partitions, timeout",
        "_new_consumer_thread": "self",
        "_to_message": "self, tp, record",
        "assignment": "self",
        "highwater": "self, tp",
        "seek_to_committed": "self",
        "seek_wait": "self, partitions",
    },
    driver.AIOKafkaConsumerThread: {
        "_create_consumer": "self, loop",
        "call_thread": "self, fun, *args, **kwargs",
        "on_start": "self",
        "on_thread_stop": "self",
    },
    Service: {
        "_crash": "self, reason",
        "_stop_children": "self",
        "_stop_exit_stacks": "self",
        "_stop_futures": "self",
        "_stopped_set": "self",
        "maybe_start": "self",
        "on_stop": "self",
        "start": "self",
        "stop": "self",
    },
    driver.Producer: {
        "_ensure_producer": "self",
        "_new_producer": "self, transactional_id=None",
        "_settings_auth": "self",
        "_settings_default": "self",
        "_settings_extra": "self",
        "on_start": "self",
        "on_stop": "self",
    },
    App: {
        "_new_producer_transport": "self",
        "_new_transport": "self",
        "_crash": "self, reason",
        "crash": "self, reason",
    },
    TableManager: {"_update_channels": "self", "on_start": "self"},
    Table: {
        "_new_store_by_url": "self, url",
        "apply_changelog_batch": "self, batch",
        "on_rebalance": "self, assigned, revoked, newly_assigned, generation_id=0",
        "on_recovery_completed": "self, active_tps, standby_tps",
    },
    RocksStore: {
        "_db_for_partition": "self, partition",
        "_open_for_partition": "self, partition",
        "_try_open_db_for_partition": (
            "self, partition, max_retries=30, retry_delay=1.0, generation_id=0"
        ),
        "partition_path": "self, partition",
        "persisted_offset": "self, tp",
    },
    GroupCoordinator: {"_send_req": "self, request", "coordinator_dead": "self"},
    Fetcher: {"_proc_fetch_request": "self, assignment, node_id, request"},
    PartitionRecords: {
        "__init__": "self, tp, records, aborted_transactions, fetch_offset, key_deserializer, "
        "value_deserializer, check_crcs, isolation_level",
        "_consumer_record": "self, tp, record",
        "_unpack_records": "self",
    },
    AIOKafkaProducer: {"create_batch": "self", "send_batch": "self, batch, topic, *, partition"},
}

#: Attributes of instances that are read or set.
ATTRIBUTES: dict[Any, tuple[str, ...]] = {
    Consumer: (
        "_active_partitions", "_committed_offset", "_read_offset", "_unacked_messages",
        "_waiting_for_ack", "can_resume_flow", "consumer_stopped_errors", "flow_active",
        "suspend_flow",
    ),
    App: ("_crashed", "consumer_generation_id", "crash_reason", "flow_control"),
    Recovery: ("active_offsets", "active_tps", "standby_offsets"),
    MemoryStore: ("data", "_key_partition"),
    RocksStore: ("_dbs", "offset_key", "rocksdb_options"),
    AIOKafkaProducer: ("_txn_manager",),
    AIOKafkaConsumer: ("_fetcher",),
    Fetcher: ("_client", "_isolation_level"),
    PartitionRecords: ("_records", "_tp", "next_fetch_offset"),
}  # fmt: skip

#: Orders of events that we rest on: in a function, each of these comes after the one before it.
ORDERS: list[tuple[Any, tuple[str, ...]]] = [
    (Recovery.on_recovery_completed, ("on_recovery_completed(", "perform_seek()",
                                      "flow_control.resume()", "resume_flow()")),
    (Recovery._seek_offsets, ("consumer.seek_wait(",)),
    (Recovery._resume_streams, ("perform_seek()", "flow_control.resume()", "resume_flow()")),
    (App._on_partitions_revoked, ("stop_flow", "flow_control.suspend", "flow_control.clear",
                                  "_consumer_wait_empty", "on_partitions_revoked.send")),
    (App._on_partitions_assigned, ("tables.on_rebalance", "on_partitions_assigned.send")),
    (driver.AIOKafkaConsumerThread.on_thread_stop, ("on_thread_stop()", "_consumer.stop()")),
    (Consumer._commit_offsets, ("producer.flush()", "self._commit(")),
]  # fmt: skip


def test_the_version_is_pinned_and_the_one_that_was_read() -> None:
    needed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert "faust-streaming==0.15.3" in needed
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka").startswith("0.14.")


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [(owner, name, told) for owner, names in FUNCTIONS.items() for name, told in names.items()],
    ids=lambda value: value if isinstance(value, str) else value.__qualname__,
)
def test_a_function_that_we_touch_takes_what_it_took(owner: Any, name: str, expected: str) -> None:
    function = getattr(owner, name, None)
    assert function is not None, f"{owner.__qualname__}.{name} is gone: see ADR 1"
    assert parameters(function) == expected, f"{owner.__qualname__}.{name} has changed: see ADR 1"


def parameters(function: Any) -> str:
    """Names and defaults, without annotations."""
    plain = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for parameter in inspect.signature(function).parameters.values()
    ]
    return str(inspect.Signature(plain))[1:-1]


@pytest.mark.parametrize(
    ("owner", "name"),
    [(owner, name) for owner, names in ATTRIBUTES.items() for name in names],
    ids=lambda value: value if isinstance(value, str) else value.__qualname__,
)
def test_an_attribute_that_we_touch_is_there(owner: Any, name: str) -> None:
    libraries = ("faust", "mode", "aiokafka")
    modules = {base.__module__ for base in owner.__mro__}
    sources = [
        inspect.getsource(sys.modules[name]) for name in modules if name.startswith(libraries)
    ]
    known = hasattr(owner, name) or any(
        f"self.{name} =" in source or f"self.{name}:" in source or f"\n    {name}:" in source
        for source in sources
    )
    assert known, f"{owner.__qualname__}.{name} is gone: see ADR 1"


@pytest.mark.parametrize(("function", "steps"), ORDERS, ids=lambda value: getattr(
    value, "__qualname__", ""))  # fmt: skip
def test_things_happen_in_the_order_that_we_rest_on(function: Any, steps: tuple[str, ...]) -> None:
    body = "".join(
        line
        for line in inspect.getsource(function).splitlines(keepends=True)
        if not line.lstrip().startswith(("#", "def ", "async def ", "on_timeout.info", "self.log"))
    )
    at = 0
    for step in steps:
        found = body.find(step, at)
        assert found >= 0, f"{function.__qualname__}: {step} no longer follows: see ADR 1 and 92"
        at = found + 1


def test_switching_the_flow_on_clears_the_queues() -> None:
    """Why no group flows before a recovery has ended (ADR 92)."""
    from mode.utils.queues import FlowControlEvent

    assert "self.clear()" in inspect.getsource(FlowControlEvent.resume)


def test_the_fenced_producer_asks_its_manager_for_the_name_once() -> None:
    """The name is there for InitProducerId alone (ADR 4)."""
    from aiokafka.producer.sender import InitPIDHandler, SendProduceReqHandler
    from aiokafka.producer.transaction_manager import TransactionManager

    parameters_ = inspect.signature(TransactionManager).parameters
    assert list(parameters_)[:2] == ["transactional_id", "transaction_timeout_ms"]
    assert "transactional_id" in inspect.getsource(InitPIDHandler)
    assert "InvalidProducerEpoch" in inspect.getsource(SendProduceReqHandler.handle_response)


def test_a_fetch_is_read_by_what_stands_under_these_names() -> None:
    """Others are put there (ADR 113); else what is opened would be read by nobody."""
    code = Fetcher._proc_fetch_request.__code__
    assert {"MemoryRecords", "PartitionRecords"} <= set(code.co_names)
    assert code.co_freevars == ()
    source = inspect.getsource(Fetcher._proc_fetch_request)
    assert "response = await self._client.send(node_id, request)" in source
    assert "for partition, error_code, highwater, *part_data in partitions:" in source
    assert "records = MemoryRecords(part_data[-1])" in source
    names = set(FetchResult.getall.__code__.co_names) | set(FetchResult.getone.__code__.co_names)
    assert "_partition_records" in names


def test_a_fetch_that_asks_for_nothing_keeps_a_consumer_in_its_group() -> None:
    """While all partitions wait for a schema (ADR 198)."""
    loop = asyncio.new_event_loop()
    try:
        state = SubscriptionState(loop=loop)
        state._last_fetch_ended -= 100.0
        assert state.fetcher_idle_time >= 100.0
        with state.fetch_context():
            pass
        assert state.fetcher_idle_time < 100.0
    finally:
        loop.close()
    source = inspect.getsource(GroupCoordinator)
    assert "fetcher_idle_time" in source

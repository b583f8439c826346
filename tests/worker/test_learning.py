"""The learner's agent, over an app that writes nowhere."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from stream.broker.local.frame import StoredRecord
from stream.config import Settings
from stream.worker.faust.records import Arrived, Batch, Lane
from stream.worker.learning.agent import Learning
from tests.waiting import within


async def sent(*_: Any) -> asyncio.Future[None]:
    """Hand over what is durable at once."""
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done


async def test_who_ends_does_not_wait_for_a_trainer_that_is_starting() -> None:
    starting = asyncio.Event()

    async def caught_up() -> None:
        starting.set()
        await asyncio.Event().wait()

    app: Any = SimpleNamespace(producer=SimpleNamespace(own=sent), send_batch=sent)
    unused: Any = None
    learning = Learning(app, Settings(), unused, unused, caught_up, unused)
    record = StoredRecord("examples", 0, 0, 0, None, b"", ())
    batch = Batch(Lane("examples", 0), [Arrived(0, record, None)])
    taking = asyncio.create_task(learning.take(SimpleNamespace(value=batch, ack=lambda: True)))
    await within("a trainer that is starting", starting.wait())
    await within("a last publication", learning.publish())
    await within("the learner's end", learning.stop())
    taking.cancel()

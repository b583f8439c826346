"""The doctor on a real Kafka: what is missing, what is refused, whose clock is behind."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping

import pytest
from aiokafka import AIOKafkaProducer
from click.testing import CliRunner

from stream.cli import main
from stream.config import Settings, Topics
from stream.insight.doctor import State, examined


def told(environ: Mapping[str, str], code: int) -> dict[str, dict[str, str]]:
    found = CliRunner().invoke(main, ["doctor", "--json"], env=environ, catch_exceptions=False)
    assert found.exit_code == code, found.output
    document = json.loads(found.stdout)
    assert document["well"] is (code == 0)
    return {finding["about"]: finding for finding in document["findings"]}


@pytest.mark.timeout(300)
def test_what_is_missing_or_refused_or_ahead_is_told_and_nothing_when_it_is_mended(
    kafka: str, topic_prefix: str
) -> None:
    environ = {
        "OFFERSTREAM_BROKER": f"kafka://{kafka}",
        "OFFERSTREAM_APP_ID": topic_prefix,
        "OFFERSTREAM_TOPICS__PREFIX": topic_prefix,
        "OFFERSTREAM_PARTITIONS": "2",
        "OFFERSTREAM_METRICS__PORT": "0",
    }
    found = told(environ, code=1)
    assert found["topics"]["state"] == "fault" and "more are missing" in found["topics"]["seen"]
    assert "offerstream topics apply" in found["topics"]["way"]
    assert CliRunner().invoke(main, ["topics", "apply"], env=environ).exit_code == 0
    found = told(environ, code=0)
    assert (found["topics"]["state"], found["access"]["state"]) == ("ok", "ok")
    assert found["clock"]["state"] == "unknown"

    async def sent(topic: str, value: bytes) -> None:
        async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
            await producer.send_and_wait(topic, value, b"spring")

    asyncio.run(sent(f"{topic_prefix}clicks", b"{}"))
    asyncio.run(sent(f"{topic_prefix}campaigns", b'{"no": "campaign"}'))
    found = told(environ, code=1)
    assert found["clock"]["state"] == "ok"
    assert found["campaigns"]["state"] == "fault" and "spring" in found["campaigns"]["seen"]
    settings = Settings(
        broker=f"kafka://{kafka}",
        app_id=topic_prefix,
        topics=Topics(prefix=topic_prefix),
        partitions=2,
    )
    behind = time.time_ns() // 1_000_000 - 60_000
    (clock,) = (one for one in examined(settings, behind) if one.about == "clock")
    assert clock.state is State.FAULT and "ahead of this machine's clock" in clock.seen

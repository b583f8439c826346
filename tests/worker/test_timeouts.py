"""Kafka's timeouts: what the settings allow, Faust and Kafka's protocol take."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.config import ConfigError, KafkaSettings, Settings
from stream.host.environment import load
from stream.worker.app import build_app
from stream.worker.telemetry.metrics import Metrics

TIMEOUTS = ("session_timeout", "heartbeat_interval", "max_poll_interval", "request_timeout")


@pytest.mark.parametrize(
    ("session", "request_", "poll"), [(10, 30, 300), (45, 30, 300), (1800, 1, 300), (45, 30, 1)]
)
def test_a_session_may_be_longer_than_a_request(
    session: float, request_: float, poll: float, tmp_path: Path
) -> None:
    """Faust refuses that; Kafka's own session is 45 s."""
    kafka = KafkaSettings(session_timeout=session, request_timeout=request_, max_poll_interval=poll)
    settings = Settings(broker="kafka://127.0.0.1:1", data_dir=tmp_path, kafka=kafka)
    conf = build_app(settings, metrics=Metrics()).conf
    assert conf.broker_session_timeout == session <= conf.broker_request_timeout
    assert conf.producer_request_timeout == request_


@pytest.mark.parametrize("name", TIMEOUTS)
def test_a_timeout_that_kafka_cannot_be_told_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"kafka\.{name} .* from 0\.001 to 2,147,483$"):
        load(environ={}, options={f"kafka.{name}": 2_147_484.0})

"""What the settings refuse, whoever constructs them."""

from __future__ import annotations

import dataclasses

import pytest

from stream.config import (
    ConfigError,
    CoreSettings,
    KafkaSettings,
    Range,
    Secret,
    Settings,
    Topics,
)

LOGIN = {"sasl_mechanism": "PLAIN", "sasl_username": "shop", "sasl_password": Secret("hunter2")}


@pytest.mark.parametrize(
    ("broker", "servers"),
    [
        ("kafka://127.0.0.1:9092", ("127.0.0.1:9092",)),
        ("kafka://a.example:9092,b.example:9093", ("a.example:9092", "b.example:9093")),
        ("kafka://[::1]:9092", ("[::1]:9092",)),
    ],
)
def test_a_kafka_url_gives_its_addresses(broker: str, servers: tuple[str, ...]) -> None:
    settings = Settings(broker=broker)
    assert settings.bootstrap_servers == servers
    assert settings.embedded_log is None
    assert settings.table_store == "rocksdb"


@pytest.mark.parametrize(("broker", "path"), [("local:///v/log", "/v/log"), ("local://./l", "l")])
def test_a_local_url_gives_its_directory(broker: str, path: str) -> None:
    settings = Settings(broker=broker)
    assert str(settings.embedded_log) == path
    assert settings.bootstrap_servers == ()
    assert settings.table_store == "memory"


@pytest.mark.parametrize(
    "broker",
    [
        "",
        "kafka",
        "kafka://",
        "127.0.0.1:9092",
        "http://a:1",
        "kafka://a",
        "kafka://a:b",
        "kafka://a:1,,b:2",
        "kafka://:9092",
        "kafka://a:0",
        "kafka://a:70000",
    ],
)
def test_a_broker_that_is_no_url_of_ours_is_refused(broker: str) -> None:
    with pytest.raises(ConfigError, match=r"^broker "):
        Settings(broker=broker)


def test_a_login_in_the_broker_url_is_refused_without_being_repeated() -> None:
    with pytest.raises(ConfigError, match=r"kafka\.sasl_password") as refusal:
        Settings(broker="kafka://shop:hunter2@127.0.0.1:9092")
    assert "hunter2" not in str(refusal.value)


def test_a_password_goes_over_tls_only_unless_that_is_said() -> None:
    with pytest.raises(ConfigError, match=r"kafka\.tls"):
        KafkaSettings(**LOGIN)
    assert KafkaSettings(**LOGIN, tls=True).tls
    assert KafkaSettings(**LOGIN, sasl_without_tls=True).sasl_without_tls


@pytest.mark.parametrize(
    "given",
    [
        LOGIN | {"tls": True, "sasl_username": ""},
        LOGIN | {"tls": True, "sasl_password": Secret()},
        {"sasl_username": "shop"},
        {"cert_file": "client.pem"},
        {"session_timeout": 5.0, "heartbeat_interval": 3.0},
    ],
)
def test_halves_of_a_setting_are_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"kafka\."):
        dataclasses.replace(KafkaSettings(), **given)


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 101, "a/b"])
def test_what_cannot_be_in_a_topics_name_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"topics\.prefix"):
        Topics(prefix=name)
    with pytest.raises(ConfigError, match="app_id"):
        Settings(app_id=name)


def test_a_currency_is_three_capitals() -> None:
    with pytest.raises(ConfigError, match=r"core\.currency"):
        CoreSettings(currency="euro")


def test_the_prefix_stands_before_every_topic() -> None:
    topics = Topics(prefix="shop1.")
    names = [getattr(topics, n) for n in dir(topics) if isinstance(getattr(Topics, n), property)]
    flat = [n for name in names for n in ([name] if isinstance(name, str) else name)]
    assert len(set(flat)) == 15
    assert all(name.startswith("shop1.") for name in flat)


def test_a_secret_shows_nowhere_but_where_it_is_asked_for() -> None:
    kafka = KafkaSettings(**LOGIN, tls=True)
    assert "hunter2" not in f"{kafka} {kafka!r} {kafka.sasl_password} {kafka.sasl_password!r:>20}"
    assert kafka.sasl_password.reveal() == "hunter2"
    assert kafka.sasl_password == Secret("hunter2") != Secret("other")


def test_a_range_holds_its_ends_and_no_nan() -> None:
    assert 0 in Range(0, 1)
    assert 1 in Range(0, 1)
    assert 1.01 not in Range(0, 1)
    assert -1 not in Range(0)
    assert float("nan") not in Range()
    assert float("inf") not in Range(0, 10)
    assert "1" not in Range(0, 1)

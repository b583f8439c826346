"""Loading: which source wins, and how each mistake is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream.config import ConfigError, Secret, Settings
from stream.host.environment import Loaded, catalogue, load, shown


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "shop.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def refusal(**sources: object) -> str:
    with pytest.raises(ConfigError) as refused:
        load(**{"environ": {}, **sources})
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_without_sources_everything_is_at_its_default() -> None:
    loaded = load(environ={"PATH": "/bin", "HOME": "/"})
    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {"default"}


def test_later_sources_win_and_each_value_says_where_it_is_from(toml) -> None:
    path = toml("partitions = 2\napp_id = 'file'\nlog_level = 'error'\n[metrics]\nport = 1\n")
    environ = {"OFFERSTREAM_PARTITIONS": "3", "OFFERSTREAM_APP_ID": "environment"}
    settings, sources = load(file=path, environ=environ, options={"partitions": 5})
    assert (settings.partitions, settings.app_id, settings.log_level) == (5, "environment", "error")
    assert settings.metrics.port == 1
    assert sources["partitions"] == "command line"
    assert sources["app_id"] == "environment OFFERSTREAM_APP_ID"
    assert sources["metrics.port"] == f"file {path}"
    assert sources["broker"] == "default"


def test_the_environment_may_name_the_file_and_the_option_wins_over_it(toml, tmp_path) -> None:
    environ = {"OFFERSTREAM_CONFIG": str(toml("partitions = 9"))}
    assert load(environ=environ).settings.partitions == 9
    other = tmp_path / "other.toml"
    other.write_text("partitions = 8")
    assert load(file=other, environ=environ).settings.partitions == 8


def test_every_setting_can_be_given_in_the_environment_as_shown() -> None:
    names = {name: f"OFFERSTREAM_{name.upper().replace('.', '__')}" for name in catalogue()}
    values = {name: str(value) for name, value in shown(Settings()).items()}
    loaded = load(environ={names[name]: value for name, value in values.items()})
    assert loaded.settings == Settings()
    assert loaded.sources == {name: f"environment {variable}" for name, variable in names.items()}


def test_short_names_of_the_metrics_address() -> None:
    environ = {"OFFERSTREAM_METRICS_HOST": "0.0.0.0", "OFFERSTREAM_METRICS_PORT": "8080"}
    metrics = load(environ=environ).settings.metrics
    assert (metrics.host, metrics.port) == ("0.0.0.0", 8080)


@pytest.mark.parametrize(
    "variable",
    [
        "OFFERSTREAM_SERVICE_HOST",
        "OFFERSTREAM_SERVICE_PORT",
        "OFFERSTREAM_SERVICE_PORT_METRICS",
        "OFFERSTREAM_PORT",
        "OFFERSTREAM_PORT_6067_TCP_ADDR",
        "OFFERSTREAM_METRICS_PORT",
        "OFFERSTREAM_TEST_BROKER",
    ],
)
def test_what_kubernetes_and_the_tests_put_there_is_no_setting(variable: str) -> None:
    assert load(environ={variable: "tcp://10.0.0.7:6067"}).settings == Settings()


@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("YES", True), ("1", True), ("off", False), ("False", False), ("0", False)],
)
def test_a_switch_in_the_environment(text: str, value: bool) -> None:
    loaded = load(environ={"OFFERSTREAM_CORE__POLICY__CONSENT_DEFAULT": text})
    assert loaded.settings.core.policy.consent_default is value


@pytest.mark.parametrize(
    ("variable", "near"),
    [
        ("OFFERSTREAM_BROKR", "did you mean broker?"),
        ("OFFERSTREAM_KAFKA__SESION_TIMEOUT", "did you mean kafka.session_timeout?"),
        ("OFFERSTREAM_SESSION_TIMEOUT", "did you mean kafka.session_timeout?"),
        ("OFFERSTREAM_ZZZZZZZZ", "`offerstream config show` lists all"),
    ],
)
def test_an_unknown_variable_is_refused_with_the_nearest_name(variable: str, near: str) -> None:
    message = refusal(environ={variable: "1"})
    assert variable in message
    assert near in message


def test_an_unknown_key_of_the_file_is_refused_with_file_and_nearest_name(toml) -> None:
    path = toml("[metrics]\nprot = 8080\n")
    message = refusal(file=path)
    assert message == f"unknown setting metrics.prot (file {path}); did you mean metrics.port?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("partitions = 0", "partitions ({file}) is 0; it must be a whole number from 1 to 1,024"),
        ("partitions = '4'", "partitions ({file}) is '4'; it must be a whole number"),
        ("partitions = true", "partitions ({file}) is True; it must be a whole number"),
        ("app_id = 7", "app_id ({file}) is 7; it must be a text"),
        ("store = 'redis'", "store ({file}) is 'redis'; it must be one of auto, memory, rocksdb"),
        ("[kafka]\ntls = 1", "kafka.tls ({file}) is 1; it must be true or false"),
        ("[core.policy]\nholdout = 2", "it must be a number from 0 to 1"),
        ("[core.policy]\nholdout = nan", "it must be a number from 0 to 1"),
        ("[core]\nhalf_life = 0", "it must be a number from 0.001"),
        ("kafka = 'x'", "kafka in {file} is a section; write it as [kafka]"),
        ("x", "is not valid TOML"),
        (
            "[kafka]\nsasl_password = 5",
            "kafka.sasl_password ({file}) is something else; it must be a text",
        ),
    ],
)
def test_a_wrong_value_in_the_file_names_setting_source_and_what_is_allowed(
    toml, text: str, message: str
) -> None:
    path = toml(text)
    assert message.format(file=f"file {path}") in refusal(file=path)


@pytest.mark.parametrize("text", ["x", "", "1.5", "1e3", "99999"])
def test_a_wrong_number_in_the_environment_is_refused(text: str) -> None:
    message = refusal(environ={"OFFERSTREAM_METRICS_PORT": text})
    assert message == (
        f"metrics.port (environment OFFERSTREAM_METRICS_PORT) is {text!r}; "
        "it must be a whole number from 0 to 65,535"
    )


def test_what_concerns_several_settings_names_their_sources() -> None:
    message = refusal(environ={"OFFERSTREAM_KAFKA__SASL_MECHANISM": "PLAIN"})
    assert "plain text" in message
    assert "kafka.sasl_mechanism from environment OFFERSTREAM_KAFKA__SASL_MECHANISM" in message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.toml"
    assert str(path) in refusal(file=path)
    assert str(path) in refusal(environ={"OFFERSTREAM_CONFIG": str(path)})


def test_a_number_that_is_whole_serves_where_any_number_does(toml) -> None:
    loaded = load(file=toml("[kafka]\nsession_timeout = 12\n"), environ={})
    assert loaded.settings.kafka.session_timeout == 12.0
    assert isinstance(loaded.settings.kafka.session_timeout, float)


def test_an_option_that_was_not_given_changes_nothing() -> None:
    assert load(environ={}, options={"broker": None}).settings == Settings()


def test_what_is_shown_masks_the_password() -> None:
    environ = {
        "OFFERSTREAM_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
        "OFFERSTREAM_KAFKA__SASL_USERNAME": "shop",
        "OFFERSTREAM_KAFKA__SASL_PASSWORD": "hunter2",
        "OFFERSTREAM_KAFKA__TLS": "yes",
    }
    loaded: Loaded = load(environ=environ)
    assert loaded.settings.kafka.sasl_password == Secret("hunter2")
    values = shown(loaded.settings)
    assert values["kafka.sasl_password"] == "***"
    assert "hunter2" not in str(values)
    assert list(values) == list(catalogue())

"""Alert rules: each fires where it should and nowhere else, names what there is, has a runbook."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.deploy.dashboards import known_metrics, named_metrics

ROOT: Final = Path(__file__).resolve().parents[2]
PROMETHEUS: Final = ROOT / "deploy" / "prometheus"
RUNBOOKS: Final = ROOT / "docs" / "runbooks"
RULES: Final = yaml.safe_load((PROMETHEUS / "rules" / "offerstream.yml").read_text())
ALL: Final[list[dict[str, Any]]] = [rule for group in RULES["groups"] for rule in group["rules"]]
ALERTS: Final = [rule for rule in ALL if "alert" in rule]
CASES: Final = yaml.safe_load((PROMETHEUS / "tests" / "offerstream.yml").read_text())["tests"]
NAMES: Final = [alert["alert"].removeprefix("Offerstream") for alert in ALERTS]
NOT_OURS: Final = {"up"}

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool (Prometheus) is not here"
)


def promtool(*arguments: str, folder: Path) -> None:
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_prometheus_takes_the_rules() -> None:
    promtool("check", "rules", "offerstream.yml", folder=PROMETHEUS / "rules")


@needs_promtool
def test_each_alert_fires_where_it_should_and_nowhere_else() -> None:
    promtool("test", "rules", "offerstream.yml", folder=PROMETHEUS / "tests")


@needs_promtool
def test_alerts_that_never_fire_would_be_noticed(tmp_path: Path) -> None:
    rules = (PROMETHEUS / "rules" / "offerstream.yml").read_text()
    dead = re.sub(r"(alert: \w+\n\s+expr: \|\n)", r"\g<1>          not_there and\n", rules)
    (tmp_path / "rules").mkdir()
    (tmp_path / "rules" / "offerstream.yml").write_text(dead)
    shutil.copytree(PROMETHEUS / "tests", tmp_path / "tests")
    with pytest.raises(AssertionError) as noticed:
        promtool("test", "rules", "offerstream.yml", folder=tmp_path / "tests")
    assert set(re.findall(r'alertname=\\?"Offerstream(\w+)', str(noticed.value))) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_is_silent(name: str) -> None:
    names = {case["name"] for case in CASES}
    assert {f"{name} fires", f"{name} is silent"} <= names


def test_rules_name_metrics_that_a_worker_has() -> None:
    asked = {name for rule in ALL for name in named_metrics(rule["expr"])}
    assert asked - NOT_OURS <= known_metrics()


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_each_alert_has_a_runbook_that_says_the_same(alert: dict[str, Any]) -> None:
    name = alert["alert"].removeprefix("Offerstream")
    page = ROOT / alert["annotations"]["runbook"]
    text = page.read_text()
    assert text.startswith(f"# {name}\n")
    asked = re.findall(r"```promql\n(.*?)\n```", text, re.DOTALL)[0]
    assert " ".join(asked.split()) == " ".join(alert["expr"].split())
    assert f"[{name}]({page.name})" in (RUNBOOKS / "README.md").read_text()
    for part in ("What it means", "What to do", "Afterwards"):
        assert f"\n## {part}\n" in text

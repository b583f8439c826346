"""What dashboards and rules ask Prometheus, as lists of expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from stream.worker.telemetry.metrics import Metrics

ROOT: Final = Path(__file__).resolve().parents[2]
FILES: Final = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))
RULES: Final = ROOT / "deploy" / "prometheus" / "rules" / "offerstream.yml"
INTERVAL: Final = "30s"  # stands for Grafana's own variable


def panels() -> Iterator[dict[str, Any]]:
    """All panels that ask something."""
    for file in FILES:
        yield from (p for p in json.loads(file.read_text())["panels"] if p["type"] != "row")


def asked(panel: dict[str, Any]) -> list[str]:
    """A panel's expressions as Prometheus gets them."""
    return [t["expr"].replace("$__rate_interval", INTERVAL) for t in panel["targets"]]


def known_metrics() -> set[str]:
    """All names under which a worker's metrics may be asked for."""
    known = set[str]()
    for family in Metrics().registry.collect():
        known |= {family.name, f"{family.name}_total"}
        known |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
    return known


def named_metrics(expression: str) -> set[str]:
    """The metrics that an expression asks for; what our own rules record has a colon."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\"[^\"]*\"", "", expression)
    return set(re.findall(r"\b(?:offerstream_\w+|kafka_\w+|process_\w+|up|ALERTS)\b(?!:)", bare))


def of_rules() -> list[str]:
    """What rules and alerts ask."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]

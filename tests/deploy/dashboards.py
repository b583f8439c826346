"""What dashboards and rules ask Prometheus, as lists of expressions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

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


def of_rules() -> list[str]:
    """What rules and alerts ask."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]

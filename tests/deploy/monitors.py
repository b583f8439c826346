"""A real Prometheus and a real Alertmanager, with the files of ``deploy`` as they are.

Replaced is what a container's network stands for, how often is looked, and for how long an alert's
condition must hold: minutes on the pager are seconds here.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.deploy.dashboards import ROOT
from tests.kafka.broker import free_ports
from tests.waiting import PATIENCE

DEPLOY: Final = ROOT / "deploy"
PROGRAMS: Final = ("prometheus", "prometheus-alertmanager")
MISSING: Final = [name for name in PROGRAMS if shutil.which(name) is None]


class Monitors:
    """Where the two answer."""

    def __init__(self, prometheus: str, alertmanager: str) -> None:
        self._prometheus, self._alertmanager = prometheus, alertmanager

    def ask(self, expression: str) -> list[Any]:
        """What an expression comes to now; an error where Prometheus does not take it."""
        query = urllib.parse.urlencode({"query": expression})
        answer = _read(f"{self._prometheus}/api/v1/query?{query}")
        assert answer["status"] == "success", (expression, answer)
        result: list[Any] = answer["data"]["result"]
        return result

    def alerts(self) -> set[tuple[str, str, str]]:
        """The alerts that were sent: of which instance, if of one; their name; who is told."""
        found = _read(f"{self._alertmanager}/api/v2/alerts")
        return {
            (alert["labels"].get("instance", ""), alert["labels"]["alertname"], receiver["name"])
            for alert in found
            for receiver in alert["receivers"]
        }


@contextmanager
def monitors(folder: Path, address: Callable[[str], str]) -> Iterator[Monitors]:
    """Run both; ``address`` says where ``host:port`` of the containers' network is here."""
    ports = free_ports(2)
    prometheus, alertmanager = (f"127.0.0.1:{port}" for port in ports)
    configured = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())
    configured["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in configured["scrape_configs"]:
        for group in job["static_configs"]:
            group["targets"] = [address(target) for target in group["targets"]]
    configured["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [alertmanager]
    (folder / "rules").mkdir()
    for file in (DEPLOY / "prometheus" / "rules").iterdir():
        quick = re.sub(r"\bfor: \w+", "for: 0s", file.read_text())
        (folder / "rules" / file.name).write_text(quick)
    (folder / "prometheus.yml").write_text(yaml.safe_dump(configured))
    commands = {
        "prometheus": [
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address={prometheus}",
        ],
        "prometheus-alertmanager": [
            f"--config.file={DEPLOY}/alertmanager/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={alertmanager}",
            "--cluster.listen-address=",
        ],
    }
    with _running(folder, commands):
        yield Monitors(f"http://{prometheus}", f"http://{alertmanager}")


@contextmanager
def _running(folder: Path, commands: Mapping[str, list[str]]) -> Iterator[None]:
    processes = []
    try:
        for name, arguments in commands.items():
            with (folder / f"{name}.log").open("wb") as log:
                processes.append(subprocess.Popen([name, *arguments], stdout=log, stderr=log))
        yield
    except BaseException:
        for name in commands:
            print(f"--- {name}:\n{(folder / f'{name}.log').read_text()[-3000:]}")
        raise
    finally:
        for process in processes:
            process.kill()
            process.wait()


def _read(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)

"""Grafana's dashboards: written by their tables, asking for what workers tell, and legible."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deploy.dashboards import FILES, ROOT, asked, known_metrics, named_metrics, panels

UNITS = {"short", "ops", "s", "bytes", "percentunit", "none"}


def test_the_files_are_what_their_tables_write(tmp_path: Path) -> None:
    folder = tmp_path / "grafana"
    shutil.copytree(ROOT / "deploy" / "grafana", folder)
    for file in (folder / "dashboards").iterdir():
        file.unlink()
    subprocess.run([sys.executable, folder / "build.py"], check=True)
    assert len(FILES) == 2
    for file in FILES:
        assert (folder / "dashboards" / file.name).read_text() == file.read_text()


def test_panels_ask_for_metrics_that_a_worker_has() -> None:
    known = known_metrics() | {"up", "ALERTS"}
    known |= {"process_cpu_seconds_total", "process_resident_memory_bytes"}
    for panel in panels():
        for expression in asked(panel):
            names = named_metrics(expression)
            assert names and names <= known, panel["title"]


def test_each_panel_says_what_to_make_of_it_and_in_which_unit() -> None:
    titles = [panel["title"] for panel in panels()]
    assert len(titles) == len(set(titles))
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
        assert all(target["legendFormat"] for target in panel["targets"])


def test_no_panel_lies_upon_another() -> None:
    for file in FILES:
        taken = set[tuple[int, int]]()
        for panel in json.loads(file.read_text())["panels"]:
            place = panel["gridPos"]
            cells = {
                (place["x"] + x, place["y"] + y)
                for x in range(place["w"])
                for y in range(place["h"])
            }
            assert place["x"] + place["w"] <= 24
            assert not cells & taken, panel["title"]
            taken |= cells


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Prometheus) is not here")
def test_prometheus_parses_what_panels_ask(tmp_path: Path) -> None:
    expressions = [each for panel in panels() for each in asked(panel)]
    rules = [{"record": f"panel:{n}", "expr": each} for n, each in enumerate(expressions)]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]

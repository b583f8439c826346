"""``python -m bench``: run the programme, show how far it is, tell what came of it."""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from pathlib import Path
from time import monotonic
from typing import Any

import click
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from bench.lab import Lab
from bench.programme import FULL, QUICK, Plan, Programme, seconds_of
from bench.report import document, tell
from bench.results import Results


class Shown:
    """A bar that moves by the planned seconds of each part."""

    def __init__(self, bar: Progress, total: float) -> None:
        self._bar = bar
        self._task = bar.add_task("starting Kafka", total=total)
        self._pending = 0.0

    def begin(self, what: str, seconds: float) -> None:
        """Something begins: what was pending is done."""
        self._bar.update(self._task, advance=self._pending, description=what)
        self._pending = seconds
        if not self._bar.console.is_terminal:
            self._bar.console.print(what)


@click.command
@click.option("--quick", is_flag=True, help="A small version of all of it, within six minutes.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("build/bench.json"),
    show_default=True,
    help="Where the figures go.",
)
def main(quick: bool, out: Path) -> None:
    """Measure this project beside others on a real Kafka, on this machine."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # new topics have no leader at first
    console = Console()
    if not console.is_terminal:
        console = Console(width=120)
    began, load = monotonic(), os.getloadavg()[0]
    found = document(asyncio.run(_measure(QUICK if quick else FULL, console)))
    found["details"] |= {
        "quick": quick,
        "seconds": monotonic() - began,
        "load_before": load,
        "cores": os.cpu_count(),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2))
    tell(found, console)
    console.print(f"{out} in {monotonic() - began:.0f} s; {os.cpu_count()} cores, load {load:.1f}")
    if found["details"]["failures"]:
        raise SystemExit(1)


async def _measure(plan: Plan, console: Console) -> Results:
    columns: tuple[Any, ...] = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with (
        tempfile.TemporaryDirectory(prefix="offerstream-bench-") as scratch,
        Progress(*columns, console=console) as bar,
    ):
        async with Lab(Path(scratch)) as lab:
            return await Programme(lab, plan, Shown(bar, seconds_of(plan))).run()


if __name__ == "__main__":
    main()

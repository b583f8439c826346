"""The command ``offerstream replay`` as a process, for the tests beside."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests import waiting

ROOT = Path(__file__).resolve().parents[2]

MAPPING = """
catalog = true

[columns]
time = "time"
type = "event"
customer = "customer"
item = "item"
name = "name"
price = "price"
order = "order"

[time]
format = "epoch_s"

[events.types]
view = "view"
cart = "add_to_cart"
buy = "purchase"

[orders]
lines = "anywhere"

[defaults]
currency = "GBP"
consent = true
"""


def shop_log(directory: Path, seed: int, rows: int = 1_200) -> tuple[Path, Path]:
    """Write a small shop's log, not in the order of time, and its mapping."""
    draw = random.Random(seed)
    lines = []
    for number in range(rows):
        customer, item = f"c{draw.randrange(60)}", draw.randrange(30)
        time = 1_700_000_000 + draw.randrange(rows * 20)
        event = draw.choices(["view", "cart", "buy", "ponder"], [80, 10, 9, 1])[0]
        price = "free" if draw.random() < 0.01 else f"{item + 1}.50"
        who = "" if draw.random() < 0.02 else customer
        order = f"{customer}-{number % 40}" if event == "buy" else ""
        lines.append(f"{time},{event},{who},i{item},Item {item},{price},{order}\n")
    log, mapping = directory / "shop.csv", directory / "shop.toml"
    log.write_text("time,event,customer,item,name,price,order\n" + "".join(lines))
    mapping.write_text(MAPPING)
    return log, mapping


def environment(**settings: str) -> dict[str, str]:
    """Nothing of the caller's settings but these."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFERSTREAM_")}
    return clean | {"PYTHONPATH": str(ROOT)} | settings


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "stream", *map(str, arguments)]


def run(
    *arguments: object, code: int = 0, environ: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    done = waiting.run(command(*arguments), env=dict(environ or environment()))
    assert done.returncode == code, done.stderr
    return done


def kill_when(
    seen: Callable[[], bool], *arguments: object, environ: Mapping[str, str] | None = None
) -> None:
    """Start a replay, too slow to end by itself soon, and kill it once something is seen of it."""
    command_line = command("replay", *arguments, "--speed", "100/s")
    process = subprocess.Popen(
        command_line, env=dict(environ or environment()), stderr=subprocess.DEVNULL
    )

    def look() -> bool:
        assert process.poll() is None, f"it ended with {process.returncode}"
        return seen()

    try:
        waiting.until("something of the replay that is to be killed", look)
    finally:
        process.kill()
        process.wait()


def replay(*arguments: object, environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Replay, and return the summary."""
    document = json.loads(run("replay", *arguments, "--json", environ=environ).stdout)
    assert isinstance(document, dict)
    return document


def customers(*options: object, environ: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """Every customer's record, but for what models had a part in."""
    lines = run("customers", "--json", *options, environ=environ).stdout.splitlines()
    records = [json.loads(line) for line in lines]
    for record in records:
        for field in ("segment", "offers", "impressions"):
            del record[field]
    return sorted(records, key=lambda record: str(record["customer_id"]))


def lines_of(path: Path) -> Sequence[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]

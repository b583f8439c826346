"""``python -m tests.chaos``: what is done to a shop on a real Kafka, and what an oracle finds then.

An oracle counts the input by itself. In the end every customer's record must say the same, the
ledgers must account for every record, no offer's id may have two contents, and the models must
have learned every example once. Results are written to build/chaos.json (kills at random),
build/soak.json with soak.svg, and build/chaos-NAME.json (all others); the exit code is 1 if
anything was lost, doubled or changed, or memory, descriptors, threads or tasks grow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from tests.chaos import faults, stock
from tests.chaos.faults import Figures, Load
from tests.chaos.judging import WRONG, judged
from tests.chaos.lab import ROOT, Lab
from tests.chaos.soak import soak
from tests.kafka.broker import Broker, Cluster

Experiment = Callable[[Lab, Load, argparse.Namespace, list[Broker]], Awaitable[Figures]]
EXPERIMENTS: dict[str, Experiment] = {
    "cycles": lambda lab, load, o, _: faults.kills(lab, load, o.cycles, o.pause, o.pauses),
    "points": lambda lab, load, o, _: faults.points(lab, load, o.points),
    "embedded": lambda lab, load, o, _: faults.points_embedded(lab, load, o.embedded),
    "restarts": lambda lab, load, o, brokers: faults.restarts(lab, load, brokers, o.restarts),
    "storm": lambda lab, load, o, _: faults.storm(lab, load, o.storm),
    "ends": lambda lab, load, o, _: faults.ends(lab, load, o.ends),
    "soak": lambda lab, load, o, _: soak(lab, load, o.soak, o.output.with_name("soak.json")),
    "bursts": lambda lab, load, o, _: faults.bursts(lab, load, o.bursts),
}
DEFAULT_CYCLES = 5


def main() -> None:
    """Run what was asked for, tell, and write it down."""
    options = _options()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # brokers are meant to be away
    print(f"seed {options.seed}", flush=True)
    asked = [name for name in EXPERIMENTS if getattr(options, name) and not options.against]
    if not asked and not options.against:
        options.cycles, asked = DEFAULT_CYCLES, ["cycles"]
    results = [_told(name, options) for name in asked]
    if options.against:
        load = Load(options.seed, options.rate, options.customers)
        compared = stock.side_by_side(load, options.cycles or DEFAULT_CYCLES)
        _written(options.output.with_name(f"{options.output.stem}-stock.json"), compared)
    sys.exit(
        any(result.get(name) for result in results for name in (*WRONG, "growing", "piling_up"))
    )


def _told(name: str, options: argparse.Namespace) -> Figures:
    load = Load(options.seed, options.rate, options.customers)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        brokers: list[Broker] = []
        if name == "embedded":
            lab = Lab.embedded(folder)
        else:
            kafka = Cluster(folder / "kafka", 3) if options.nodes == 3 else Broker(folder / "kafka")
            brokers = kafka.brokers if isinstance(kafka, Cluster) else [kafka]
            stack.enter_context(kafka)
            lab = Lab.on(kafka.address, f"chaos-{secrets.token_hex(4)}-", folder)
        figures = asyncio.run(EXPERIMENTS[name](lab, load, options, brokers))
        result: Figures = {**figures, "seed": options.seed, **judged(lab.settings)}
    path = options.output
    own = {"cycles": path.name, "soak": "soak.json"}.get(name, f"{path.stem}-{name}.json")
    _written(path.with_name(own), result)
    return result


def _written(path: Path, result: Figures) -> None:
    print(json.dumps(result, indent=2), flush=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    number = parser.add_argument_group("what is done, and how often")
    for flag, told in {
        "--cycles": f"kill one of three workers, or pause it (default: {DEFAULT_CYCLES} times)",
        "--points": "kill a worker at each named point",
        "--embedded": "kill an engine on a local log at each named point",
        "--restarts": "stop or kill a broker, and start it again",
        "--storm": "let a worker join or leave, every five seconds",
        "--ends": "ask a worker to end (SIGTERM)",
        "--soak": "load one worker for so many seconds",
        "--bursts": "let ten times as much come, half of it of one customer",
    }.items():
        number.add_argument(flag, type=int, default=0, metavar="N", help=told)
    parser.add_argument("--against", choices=["stock"], help="stock Faust, under the same kills")
    parser.add_argument("--nodes", type=int, choices=[1, 3], default=1, help="of Kafka")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--rate", type=float, default=Load.rate, help="events a second")
    parser.add_argument("--customers", type=int, default=Load.customers)
    parser.add_argument("--pause", type=float, default=6.0, help="most seconds between kills")
    parser.add_argument(
        "--pauses", type=float, default=0.2, help="share of cycles that pause instead of kill"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "build" / "chaos.json")
    return parser.parse_args()


if __name__ == "__main__":
    main()

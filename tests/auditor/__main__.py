"""Audit offerstream from outside, while its workers are killed.

The checker knows topics and schemas and imports nothing of offerstream. It plays a shop whose
customers click, buy, return goods, allow and withdraw, are erased and come back; among that are
repetitions, orders told twice, late events, floods and garbage. It keeps its own books: what each
customer's record must say, what must become of each record sent, and which of them may lawfully
cause an offer. Meanwhile workers are killed, one after the other. In the end it reads the offers,
the dead letters, the late events and the customers' records, and says what differs.

  python -m tests.auditor                                        five kills, on a Kafka of its own
  python -m tests.auditor --events 1000000 --customers 20000 --cycles 100
  python -m tests.auditor --broker kafka-1:9092 --json           on yours, with topics of its own
  python -m tests.auditor --broker kafka-1:9092 --workers 0 --prefix audit-1- --show-settings
                                                               for workers that you run yourself

Nobody else may send to its topics. The exit code is 1 if anything differs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import secrets
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.auditor.run import Audit, Plan
from tests.auditor.verdict import FAULTS
from tests.kafka.broker import Broker

WIDTH = 30  # characters of the bar


class Bar:
    """How far an audit is, on one line of a terminal, or now and then on a new one."""

    def __init__(self) -> None:
        self._began, self._last, self._live = time.monotonic(), -1, sys.stderr.isatty()

    def __call__(self, done: int, of: int, what: str) -> None:
        """Draw the bar, with the time that is probably left."""
        tenth = 10 * done // of
        if not self._live and tenth == self._last:
            return
        self._last = tenth
        passed = time.monotonic() - self._began
        left = f"{passed / done * (of - done):.0f} s left" if done else ""
        full = WIDTH * done // of
        line = f"[{'#' * full}{'.' * (WIDTH - full)}] {100 * done // of:3} % {left}  {what}"
        sys.stderr.write(f"\r\x1b[K{line}" if self._live else f"{line}\n")
        if self._live and done == of:
            sys.stderr.write("\n")
        sys.stderr.flush()


def main() -> None:
    """Run an audit, tell, and say by the exit code whether all agrees."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # coordinators are meant to move
    options = _options()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="audit-")))
        plan = _plan(options, folder)
        if options.show_settings:
            print(*(f"export {k}={v}" for k, v in plan.environment().items()), sep="\n")
            return
        if not plan.broker:
            kafka = stack.enter_context(Broker(folder / "kafka", heap="512m"))
            plan = replace(plan, broker=kafka.address)
        result = asyncio.run(Audit(plan, Bar()).run())
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result, indent=2) if options.json else summary(result))
    sys.exit(any(result["faults"].values()))


def summary(result: dict[str, Any]) -> str:
    """The result for people."""
    lines = [
        f"{result['events']:,} events of {result['customers']:,} customers in "
        f"{result['seconds']:.0f} s, {result['workers']} workers, {result['kills']} kills, "
        f"{result['crashes']} ends by themselves; {result['offers']:,} offers, of which "
        f"{result['offers_sent_again']:,} were sent again; {result['recalls']:,} recalls "
        f"(seed {result['seed']})",
    ]
    for name, count in result["faults"].items():
        lines.append(f"{count:>9,}  {FAULTS[name]}")
        lines += [f"           {words[:300]}" for words in result["told"].get(name, ())]
    agreed = not any(result["faults"].values())
    lines.append("All of it agrees." if agreed else "Something differs.")
    return "\n".join(lines)


def _plan(options: argparse.Namespace, folder: Path) -> Plan:
    return Plan(
        broker=options.broker or "",
        folder=folder,
        seed=options.seed,
        events=options.events,
        customers=options.customers,
        cycles=options.cycles if options.workers else 0,
        workers=options.workers,
        partitions=options.partitions,
        prefix=options.prefix or f"audit-{secrets.token_hex(4)}-",
        app_id=options.app_id,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.auditor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    whole = _at_least
    parser.add_argument(
        "--events",
        type=whole(1_000),
        default=Plan.events,
        metavar="N",
        help="how many events are sent, about (default: %(default)s)",
    )
    parser.add_argument(
        "--customers",
        type=whole(50),
        default=Plan.customers,
        metavar="N",
        help="of whom; 20 events each or more let stories unfold (%(default)s)",
    )
    parser.add_argument(
        "--cycles",
        type=whole(0),
        default=Plan.cycles,
        metavar="N",
        help="how many times a worker is killed (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=whole(0),
        default=Plan.workers,
        metavar="N",
        help="how many run; 0: you run them, see --show-settings (%(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=secrets.randbelow(2**32),
        metavar="N",
        help="repeats a run's events (default: another each time)",
    )
    parser.add_argument(
        "--broker",
        metavar="HOST:PORT",
        help="a Kafka to use (default: one is started, and gone afterwards)",
    )
    parser.add_argument(
        "--partitions",
        type=whole(1),
        default=Plan.partitions,
        metavar="N",
        help="of the topics of events (default: %(default)s)",
    )
    parser.add_argument(
        "--prefix",
        default="",
        metavar="NAME",
        help="what topics are named after (default: a new one each time)",
    )
    parser.add_argument(
        "--app-id", default="", metavar="NAME", help="the workers' app_id (default: the prefix)"
    )
    parser.add_argument(
        "--show-settings",
        action="store_true",
        help="print the settings that workers need, and do nothing",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the JSON there, too")
    return parser.parse_args()  # fmt: skip


def _at_least(least: int) -> Any:
    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value} is below {least}")
        return value

    return number


if __name__ == "__main__":
    main()

"""``offerstream doctor``: what would keep a worker from its work here, before it starts."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Final

import click

from stream.cli.options import loaded_option
from stream.host.environment import Loaded

WIDTH: Final = 13


@click.command
@loaded_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
def doctor(loaded: Loaded, as_json: bool) -> None:
    """Check settings, disk, broker, access, topics, clock and campaigns; change nothing.

    Run it where a worker is to run, with the same settings. The exit code is 1 if anything would
    keep a worker from starting, or from its work.

    \b
    Examples:
      offerstream doctor --broker kafka://kafka-1:9092
      offerstream doctor --config offerstream.toml --json | jq '.findings[]'
    """
    from stream.insight.doctor import Finding, State, examined

    chosen = sorted({source for source in loaded.sources.values() if source != "default"})
    count = sum(source != "default" for source in loaded.sources.values())
    seen = f"{count} of {len(loaded.sources)} are set" + (
        f": {', '.join(chosen)}" if chosen else ""
    )
    found = [Finding("settings", State.OK, seen)]
    if not as_json:
        _tell(found)
    for finding in examined(loaded.settings, time.time_ns() // 1_000_000):
        found.append(finding)
        if not as_json:
            _tell([finding])
    faults = sum(finding.state is State.FAULT for finding in found)
    if as_json:
        rows = [finding._asdict() for finding in found]
        click.echo(json.dumps({"well": not faults, "findings": rows}, indent=2))
    else:
        odd = sum(finding.state is State.ODD for finding in found)
        click.echo(f"\n{_verdict(faults, odd)}")
    sys.exit(1 if faults else 0)


def _tell(findings: Sequence[tuple[str, str, str, str]]) -> None:
    for about, state, seen, way in findings:
        click.echo(f"{state:<8} {about:<{WIDTH}}{seen}")
        if way:
            click.echo(f"{'':<8} {'':<{WIDTH}}-> {way}")


def _verdict(faults: int, odd: int) -> str:
    if faults:
        return f"{faults} fault(s) would keep a worker from its work"
    return "a worker can start" + (f"; {odd} thing(s) are odd" if odd else ", and nothing is odd")

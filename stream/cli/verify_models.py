"""``offerstream verify-models``: are the published models what their log of examples says?"""

from __future__ import annotations

import json
import sys

import click

from stream.cli.options import settings_option
from stream.config import Settings


@click.command("verify-models")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@settings_option
def verify_models(settings: Settings, as_json: bool) -> None:
    """Learn the log of examples again and compare every model with what is published.

    It ends with 0 where they are the same, bit for bit, and with 1 where they are not.

    \b
    offerstream verify-models --broker kafka://127.0.0.1:9092
    """
    from stream.worker.learning.verification import verify_models as verify

    verdict = verify(settings)
    if as_json:
        click.echo(json.dumps(verdict._asdict() | {"holds": verdict.holds}))
    else:
        click.echo(f"{verdict.learned} examples learned")
        for kind, published in sorted(verdict.published.items()):
            same = verdict.relearned.get(kind) == published
            click.echo(f"  {kind}: {'the same' if same else 'DIFFERENT'} ({published[:16]})")
    sys.exit(0 if verdict.holds else 1)

"""``offerstream evaluate``: the stream's own estimators on a file, in one pass."""

from __future__ import annotations

from typing import Final

import click

from stream.cli.lazy import LazyGroup

MEASURES: Final = {
    "calibration": "Purchases foreseen over purchases made, in tenths of a shop's log.",
    "forecast": "How well demand and revenue are foreseen, period by period.",
    "next-item": "How often the next item of a session is among the twenty offered.",
    "outliers": "How well what is odd is told from what is usual.",
    "policy": "What choosing by context is worth, from a logged experiment.",
    "propensity": "How well purchases are foreseen, event by event.",
    "ratings": "How well a customer's rating of an item is foreseen.",
    "rules": "Association rules of baskets, exact and bounded.",
    "segments": "How close the segments come to batch k-means.",
    "value": "How well a customer's spend in the next days is foreseen.",
}
"""What can be measured; the command ``x`` is in ``stream/cli/evaluate/x.py``, called ``x``."""


@click.group(cls=LazyGroup, listed=MEASURES, modules="stream.cli.evaluate.")
def evaluate() -> None:
    """Measure the models on a file, in one pass: each answer is given before it is learned from."""

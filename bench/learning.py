"""``python -m bench.learning``: what learning and recommending cost, and that memory stays flat.

Rules: everything is drawn from a fixed seed; times are medians over parts of a run, so that a
noisy neighbour moves them little; memory is the process's own, read between parts.
"""

from __future__ import annotations

import json
import resource
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter, thread_time
from typing import Any

import click
import numpy as np

from bench.propensity import propensity_cost
from stream.cli.progress import gauge
from stream.codec.snapshots.models import Collector, Published, Publisher, Reader
from stream.config import LearningSettings
from stream.decide import example
from stream.learn.estimators import Estimators
from stream.learn.learner import Learner
from stream.models.recommend.cooccurrence import CoOccurrence
from stream.models.recommend.recommender import Recommender
from stream.models.recommend.steps import TimedStep

BATCH = 256
PART = 64  # batches in one measured part


def drawn_steps(seed: int, items: int) -> Iterator[TimedStep]:
    """Sessions near a popular item, for ever: a long tail, window 10, a second apart."""
    draw = np.random.default_rng(seed)
    session = 0
    while True:
        centres = (items * draw.random(1_000) ** 3).astype(int)
        lengths = np.minimum(20, 1 + draw.geometric(0.25, 1_000))
        for centre, length in zip(centres.tolist(), lengths.tolist(), strict=True):
            near = (centre + draw.geometric(0.05, length)) % items
            names = [f"item{number}" for number in near.tolist()]
            for place, name in enumerate(names):
                previous = names[max(0, place - 10) : place]
                yield TimedStep(session, previous, name, session * 1_000)
            session += 1


def batches(steps: Iterator[TimedStep], count: int) -> Iterator[list[TimedStep]]:
    """``count`` batches of steps."""
    for _ in range(count):
        yield list(islice(steps, BATCH))


def cooccurrence_cost(parts: int) -> float:
    """Median microseconds to learn one event of a long-tailed shop, window 10."""
    model = CoOccurrence(items=32_768, neighbours=64, half_life=30 * 86_400.0)
    steps = drawn_steps(1, 50_000)
    times = []
    for _ in range(parts):
        work = [[(s.previous, s.item, s.time) for s in b] for b in batches(steps, PART)]
        began = perf_counter()
        for batch in work:
            model.learn_many(batch)
        times.append((perf_counter() - began) / (PART * BATCH) * 1e6)
    return float(np.median(times))


def recommendation_cost(questions: int) -> dict[str, float]:
    """Microseconds for one ranked recommendation of 20: mean and p99."""
    model = Recommender(items=32_768, sessions=65_536, eager=4_096, thin=64)
    steps = drawn_steps(2, 20_000)
    for batch in batches(steps, 600):
        model.learn_many(batch)
    prefixes = [[*s.previous, s.item] for s in islice(steps, questions)]
    times = []
    for prefix in prefixes:
        began = perf_counter()
        model.recommend(prefix, 20)
        times.append((perf_counter() - began) * 1e6)
    return {"mean": float(np.mean(times)), "p99": float(np.percentile(times, 99))}


def publication_cost(seconds: int, a_second: int) -> dict[str, Any]:
    """What a publication costs when as many sessions and items are held as the settings allow.

    Bytes, and milliseconds of processor time, of a full snapshot and of a second's change: to make,
    to read, and to take over; all of it outside the event loop.
    """
    settings = LearningSettings()
    learner = Learner(settings, seed=1)
    steps = drawn_steps(3, settings.items)
    offset = 0
    learner.recommender.eager, learner.recommender.thin = 1_000, 8
    with gauge("sessions", settings.sessions, "sessions", quiet=False) as progress:
        while learner.recommender.index.begun < settings.sessions:
            offset = _teach(learner, steps, 20_000, offset)
            progress.show(learner.recommender.index.begun)
    publisher, collector, reader = Publisher(), Collector(), Reader()
    costs: dict[str, list[float]] = {}

    def note(name: str, began: float) -> float:
        costs.setdefault(f"{name}_ms", []).append((thread_time() - began) * 1e3)
        return thread_time()

    for turn in range(seconds):
        kind = "change" if turn else "full"
        offset = _teach(learner, steps, a_second, offset)
        began = thread_time()
        records = publisher.publish(learner.states(), learner.through, learner.learned)
        began = note(f"{kind}_make", began)
        (parcel,) = filter(None, (collector.take(*record) for record in records))
        costs.setdefault(f"{kind}_bytes", []).append(parcel.bytes)
        publication = reader.read(parcel)
        if isinstance(publication, Published):
            mirror = Estimators.from_states(*publication)
            note("full_read", began)
        elif publication is not None:
            began = note("change_read", began)
            mirror.patch(*publication)
            note("change_take_over", began)
    report = {name: float(np.median(values)) for name, values in sorted(costs.items())}
    return report | {"change_take_over_worst_ms": max(costs["change_take_over_ms"])}


def _teach(learner: Learner, steps: Iterator[TimedStep], count: int, offset: int) -> int:
    for n, step in enumerate(islice(steps, count)):
        lesson = example.SessionStep(
            step.time, step.session, n % 8, step.item, tuple(step.previous), "category", None, 999
        )
        taught: list[example.Example] = [lesson]
        if n % 50 == 0:
            taught.append(example.Basket(step.time, n % 8, (step.item, *step.previous)))
        learner.learn("0/0", offset + n, taught)
    return offset + count


def strangers(first: int, last: int) -> Iterator[list[TimedStep]]:
    """Customers whom nobody saw before, each with an item that nobody saw, and a common one."""
    for start in range(first, last, BATCH // 2):
        yield [
            step
            for n in range(start, min(last, start + BATCH // 2))
            for step in (
                TimedStep(n, [], f"new{n}", n * 10, n % 16),
                TimedStep(n, [f"new{n}"], f"common{n % 999}", n * 10, n % 16),
            )
        ]


def flat_memory(distinct: int) -> dict[str, Any]:
    """Memory while ``distinct`` new items and customers pass through, in twenty readings."""
    model = Recommender(items=32_768, sessions=65_536, half_life=86_400.0, eager=1_000, thin=1_000)
    readings = []
    with gauge("strangers", distinct, "customers", quiet=False) as progress:
        for part in range(20):
            for batch in strangers(distinct * part // 20, distinct * (part + 1) // 20):
                model.learn_many(batch)
            readings.append(_resident_mb())
            progress.show(distinct * (part + 1) // 20, f"{readings[-1]:.0f} MB")
    full = readings[len(readings) // 4 :]
    return {
        "distinct": distinct,
        "resident_mb": readings,
        "growth": max(full) / full[0] - 1.0,
        "evicted": model.evicted,
    }


def _resident_mb() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize() / (1 << 20)
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@click.command
@click.option("--distinct", default=10_000_000, show_default=True, help="New items and customers.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/learning.json"))
def main(distinct: int, out: Path) -> None:
    """Measure learning and recommending; the result is one JSON file."""
    report = {
        "propensity_microseconds_per_example": propensity_cost(),
        "cooccurrence_microseconds_per_event": cooccurrence_cost(15),
        "recommendation_microseconds": recommendation_cost(3_000),
        "publication": publication_cost(20, 2_000),
        "flat_memory": flat_memory(distinct),
    }
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    click.echo(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()

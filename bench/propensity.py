"""What the propensity costs: to predict and learn one example of 20 features, in batches of 32.

Rules: values come back, as brands and prices do; rows are lists of integers, as the stream hands
them on; each batch is predicted, then learned, and the median batch counts.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np

from stream.models.propensity import Propensity

BATCH = 32
FEATURES = 20
VALUES = 50  # of each feature


def drawn_batches(seed: int, count: int) -> list[tuple[list[list[int]], list[int]]]:
    """Rows of hashes with labels, one in ten positive."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, VALUES, (count, BATCH, FEATURES)) + VALUES * np.arange(FEATURES)
    hashes = (values.astype(np.uint64) * 2_654_435_761 % 2**32).astype(np.uint32)
    labels = (rng.random((count, BATCH)) < 0.1).astype(int)
    return list(zip(hashes.tolist(), labels.tolist(), strict=True))


def cost(model: Propensity, batches: int) -> float:
    """Median microseconds to predict and learn one example."""
    times = []
    for rows, labels in drawn_batches(1, batches):
        began = perf_counter()
        model.predict(rows)
        model.learn(rows, labels)
        times.append((perf_counter() - began) / BATCH * 1e6)
    return float(np.median(times))


def propensity_cost(batches: int = 1_000) -> dict[str, float]:
    """Microseconds an example, of features alone and with their pairs and triples."""
    return {
        "features": cost(Propensity(crosses=0, triples=0), batches),
        "with_pairs_and_triples": cost(Propensity(), batches),
    }

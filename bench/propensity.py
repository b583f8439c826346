"""What the propensity costs: to predict and learn one example of 20 features, in batches of 32.

Rules: values come back, as brands and prices do; rows are lists of integers, as the stream hands
them on; each batch is predicted, then learned, and the median batch counts. Beside it, in the same
run, river's scaler and logistic regression on 14 numbers and 6 indicators: other machines compare
by the ratio.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from river import linear_model, preprocessing

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


def river_cost(examples: int) -> float:
    """Median microseconds of river's scaler and logistic regression for one example."""
    rng = np.random.default_rng(1)
    model = preprocessing.StandardScaler() | linear_model.LogisticRegression()
    times = []
    for numbers in rng.normal(size=(examples, 14)).tolist():
        x = {f"n{i}": value for i, value in enumerate(numbers)}
        x |= {f"c{i}={int(value)}": 1.0 for i, value in enumerate(rng.integers(0, VALUES, 6))}
        began = perf_counter()
        model.predict_proba_one(x)
        model.learn_one(x, bool(numbers[0] > 1.3))
        times.append((perf_counter() - began) * 1e6)
    return float(np.median(times))


def propensity_cost(batches: int = 1_000) -> dict[str, float]:
    """Microseconds an example, of features alone and with their pairs and triples."""
    return {
        "features": cost(Propensity(crosses=0, triples=0, inputs=0), batches),
        "with_pairs_and_triples": cost(Propensity(inputs=0), batches),
        "river_scaled_logistic": river_cost(2_000),
    }


if __name__ == "__main__":
    for name, microseconds in propensity_cost().items():
        print(f"{name:<24}{microseconds:8.1f} µs an example")

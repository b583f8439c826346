"""The kernels of the propensity: what each of them must come to, and the same bytes uncompiled."""

from __future__ import annotations

import hashlib
from itertools import combinations

import numpy as np
import pytest

from stream.codec.snapshots.snapshot import fingerprint
from stream.models.base.calibration import Calibration
from stream.models.base.hashing import mix
from stream.models.base.truth import whole
from stream.models.propensity import Encoded, HashedFTRL, Propensity
from stream.models.propensity.buckets import PADDING, PAIR, TRIPLE, singles, sparse, together
from stream.models.propensity.cells import SQUARE, empty_cells
from stream.models.propensity.ftrl import grouped
from stream.models.propensity.solving import solved
from tests.uncompiled import uncompiled

BITS = 8


def drawn_hashes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2**32, 40, dtype=np.uint32)[rng.integers(0, 40, shape)]


def drawn_encoded(rng: np.random.Generator, rows: int) -> Encoded:
    """Rows of all lengths, with coarse features, lone ones, and dense inputs."""
    widths = rng.integers(0, 7, rows)
    fine, coarse = ([drawn_hashes(rng, width).tolist() for width in widths] for _ in range(2))
    alone = [drawn_hashes(rng, width // 2).tolist() for width in widths]
    inputs = [list(range(1, 1 + width)) for width in widths]
    values = [rng.normal(size=width).tolist() for width in widths]
    return Encoded(fine, coarse, alone, inputs, values)


def told(seed: int) -> str:
    """The state after random batches of each kind, and all that was predicted on the way."""
    rng = np.random.default_rng(seed)
    model, encoding = Propensity(bits=BITS, inputs=0), Propensity(bits=BITS, inputs=9)
    digest = hashlib.sha256()
    for batch in range(24):
        rows = int(rng.integers(1, 20))
        labels, segments = rng.integers(0, 2, rows), rng.integers(-1, 70, rows)
        hashes, encoded = drawn_hashes(rng, rows, 8), drawn_encoded(rng, rows)
        digest.update(model.learn(hashes, labels, segments if batch % 2 else None).tobytes())
        digest.update(encoding.learn(encoded, labels, segments.tolist()).tobytes())
        digest.update(model.predict(hashes, segments).tobytes())
        if batch == 12:
            model._forget()
    return f"{digest.hexdigest()} {fingerprint(model.state())} {fingerprint(encoding.state())}"


def test_uncompiled_it_learns_and_predicts_the_same_bytes(seed: int) -> None:
    program = f"from {__name__} import told; print(told({seed}))"
    assert uncompiled(program) == told(seed)


@pytest.mark.parametrize("size", [PAIR, TRIPLE])
def test_what_goes_together_are_the_combinations_of_what_is_known(size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    hashes = drawn_hashes(rng, 6, 7)
    cells = empty_cells(2**BITS)
    cells[rng.random(2**BITS) < 0.7, SQUARE] = 1.0
    rows, positions = sparse(hashes), np.array([0, 2, 3, 6])
    buckets = np.zeros((6, 20), np.int32)
    singles(rows.hashes, rows.starts, BITS, 1, buckets)
    together(size, rows.hashes, rows.starts, positions, cells, BITS, 8, buckets)
    for row, own in zip(buckets.tolist(), hashes, strict=True):
        mixed = mix(own)
        assert row[1:8] == (mixed >> np.uint32(32 - BITS)).tolist()
        known = [mixed[at] for at in positions if cells[row[1 + at], SQUARE] > 0]
        sums = [sum(map(int, which)) % 2**32 >> (32 - BITS) for which in combinations(known, size)]
        assert row[8] == PADDING + size and row[9 : 9 + len(sums)] == sums
        assert not any(row[9 + len(sums) :])


def test_a_bucket_that_a_batch_hits_often_takes_the_sum_in_one_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    model, groups = HashedFTRL(bits=BITS), grouped((5,), ((0.3, 1.2),))
    weights, squares = np.zeros((2, 2**BITS, 2), np.float32)
    for _ in range(10):
        buckets = rng.integers(0, 9, (16, 5)).astype(np.int32)
        labels = rng.integers(0, 2, 16).astype(np.float64)
        logits = np.zeros((16, 2))
        model.look(buckets, groups, logits)
        assert logits == pytest.approx(weights[buckets].sum(axis=1), abs=1e-6)
        model.step(buckets, groups, logits, whole(labels))
        gradients = np.zeros_like(weights)
        errors = 1 / (1 + np.exp(-logits)) - labels[:, None]
        np.add.at(gradients, buckets, errors[:, None].astype(np.float32))
        gradients[PADDING] = 0
        squares += gradients**2
        weights -= gradients / (np.sqrt(squares) + np.float32(0.5)) * groups.rates[0]
    state = model.state()
    assert state["weights"] == pytest.approx(weights, abs=1e-5)
    assert state["squares"] == pytest.approx(squares, rel=1e-5)


def test_a_corrected_curve_goes_straight_from_knot_to_knot(seed: int) -> None:
    rng = np.random.default_rng(seed)
    calibration = Calibration(segments=0, prior=0.5)
    calibration.learn(rng.normal(0, 4, 500), whole(rng.integers(0, 2, 500).astype(float)))
    logits = np.sort(rng.normal(0, 15, 500))
    knots = [-40.0, *range(-5, 6), 40.0]
    expected = np.interp(logits, knots, calibration._overall.drawn[0])
    assert calibration.corrected(logits) == pytest.approx(expected, rel=1e-12)


def test_equations_are_solved_as_by_lapack(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for size in range(1, 9):
        half = rng.normal(size=(size + 2, size))
        matrix, right = half.T @ half + 0.1 * np.eye(size), rng.normal(size=size)
        assert solved(matrix, right) == pytest.approx(np.linalg.solve(matrix, right), rel=1e-8)


def test_rows_that_kernels_would_read_beyond_are_refused() -> None:
    model = Propensity(bits=BITS)
    with pytest.raises(ValueError, match="coarse"):
        model.learn(Encoded([[1, 2], [3]], [[1], [3]], ()), [0, 1])
    with pytest.raises(ValueError, match="alone"):
        model.learn(Encoded([[1, 2], [3]], [[1, 2], [3]], [[1]]), [0, 1])
    with pytest.raises(ValueError, match="segments"):
        model.learn([[1, 2], [3]], [0, 1], [7])

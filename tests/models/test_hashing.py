from __future__ import annotations

import subprocess
import sys
from zlib import crc32

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.models.base.hashing import draw, feature_hash, log_bin, mix

PROGRAM = """
from stream.models.propensity import Propensity
from stream.models.segments.kmeans import IncrementalKMeans
from stream.codec.snapshots.snapshot import fingerprint
p, s = Propensity(bits=10), IncrementalKMeans(k=3)
for n in range(300):
    p.learn_one({"brand": f"b{n % 7}", "price": n * 1.5, "new": n % 2 == 0}, n % 3 == 0)
    s.learn([n % 5, n % 3])
print(fingerprint(p.state()), fingerprint(s.state()))
"""


def test_a_feature_is_the_crc_of_its_text() -> None:
    assert feature_hash("brand", "größe") == crc32("brand=größe".encode())
    assert feature_hash("brand", "\ud800") == feature_hash("brand", "\ud800")


@given(st.floats())
def test_every_number_has_a_bin(value: float) -> None:
    assert log_bin(value)
    if 1e-300 < abs(value) < 1e300:
        here, beyond = (int(log_bin(size)[1:]) for size in (abs(value), abs(value) * 1.0001))
        assert beyond - here in (0, 1)


def test_mixed_hashes_spread_evenly() -> None:
    hashes = np.array([feature_hash("item", f"i{n}") for n in range(64_000)], dtype=np.uint32)
    counts = np.bincount(mix(hashes) >> np.uint32(26), minlength=64)
    assert np.abs(counts - 1_000).max() < 150


def test_draws_are_uniform() -> None:
    drawn = np.array([draw(3, n) for n in range(20_000)])
    assert np.abs(np.histogram(drawn, 10, (0, 1))[0] - 2_000).max() < 200


def test_models_are_the_same_whatever_pythons_hash_seed() -> None:
    told = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(told) == 1

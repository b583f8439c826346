"""Kernels: one source, compiled or not, with the same bytes."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import numpy as np

from stream.models.base.kernel import COMPILED, kernel, uncompiled


@kernel
def entropy(shares: np.ndarray) -> float:
    """Of shares, shape (n,), in nats."""
    total = 0.0
    for share in shares:
        if share > 0.0:
            total -= share * math.log(share)
    return total


def test_a_kernel_is_compiled_when_it_is_first_called() -> None:
    assert entropy(np.array([0.5, 0.5])) == math.log(2.0)
    assert not any(name.endswith(".entropy") for name in uncompiled())


def test_without_the_compiler_kernels_are_functions_as_they_stand() -> None:
    told = "from stream.models.base import kernel as k; print(k.COMPILED, k.kernel(max) is max)"
    done = subprocess.run(
        [sys.executable, "-c", told],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]


def test_this_machine_compiles() -> None:
    """Where the lock file has numba, it works."""
    assert COMPILED

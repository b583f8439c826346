"""After set-up no process compiles a kernel, and kernels give the same bytes without a compiler."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stream.models.base.kernel import COMPILED

EVERYTHING = """
import importlib, pkgutil
import stream.decide, stream.learn, stream.models
for package in (stream.models, stream.decide, stream.learn):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        importlib.import_module(module.name)
from stream.models.base.kernel import uncompiled
from stream.decide.warm import warm
warm()
print(uncompiled())
"""

ANSWERS = """
import hashlib, sys
import numpy as np
from stream.models.recommend.recommender import Recommender
from tests.models.test_recommender import drawn_steps, learn
digest = hashlib.sha256()
for n in range(int(sys.argv[2])):
    seed = int(sys.argv[1]) + n
    sizes = {"items": (128, 24)[n % 2], "neighbours": 4, "sessions": (256, 32)[n // 2 % 2]}
    model, steps = Recommender(**sizes, half_life=600.0), drawn_steps(seed, 40)
    learn(model, steps, 7 + n)
    asked = [step for step in drawn_steps(seed + 1, 10) if step.previous]
    for step in asked:
        told = model.recommend(step.previous, 9, step.previous[:1], step.session, step.segment)
        digest.update(repr(told).encode())
    for value in model.state().values():
        digest.update(value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode())
print(digest.hexdigest())
"""


def told(script: str, *arguments: object, **environ: str) -> str:
    """What a process of its own prints."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(
        command, env=os.environ | environ, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.skipif(not COMPILED, reason="this machine runs kernels uncompiled")
def test_every_kernel_is_compiled_by_being_warmed() -> None:
    assert told(EVERYTHING) == "[]"


@pytest.mark.skipif(not COMPILED, reason="this machine runs kernels uncompiled")
def test_recommendations_are_the_same_bytes_without_the_compiler(seed: int) -> None:
    compiled = told(ANSWERS, seed, 4)
    assert compiled == told(ANSWERS, seed, 4, NUMBA_DISABLE_JIT="1")

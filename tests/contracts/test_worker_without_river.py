"""A worker decides with models that its learner's process learns: it does without river's imports.

They take 80 MB and a second of each start.
"""

from __future__ import annotations

import subprocess
import sys

DECIDES = """
import sys
import stream.worker.app, stream.worker.running
from stream.config import LearningSettings
from stream.learn.estimators import Estimators

estimators = Estimators(LearningSettings(), 7)
Estimators.from_states(estimators.states(), {}, 0).models()
print(*sorted({"scipy.stats", "pandas", "river.drift", "river.cluster"} & set(sys.modules)))
"""


def test_a_worker_that_decides_imports_nothing_large_of_river() -> None:
    done = subprocess.run(
        [sys.executable, "-c", DECIDES], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []

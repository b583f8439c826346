"""Run the simulation's laws over any number of seeds: ``python -m tests.seeds --runs 1000000``.

The tests run some thousands of them. Each run here is one history under one law's faults.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import cycle
from typing import Final

from stream.cli.progress import gauge
from tests.properties import test_effectively_once as once
from tests.properties import test_permission_under_faults as permission

LAWS: Final[tuple[Callable[[int], None], ...]] = (
    once.check_counts,
    *(lambda case, worse=worse: once.check_surroundings(case, worse) for worse in once.WORSE),
    *(lambda case, worse=worse: permission.check_words(case, worse) for worse in permission.WORSE),
    *(lambda case, torn=torn: once.check_account(case, torn) for torn in (False, True)),
    *(lambda case, torn=torn: once.check_against_a_calm_run(case, torn) for torn in (False, True)),
)


def main() -> None:
    """Run the laws in turns, and say at the first broken one which case it was."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    seeds = range(asked.first, asked.first + asked.runs)
    with gauge("Simulating", asked.runs, "runs", quiet=False) as shown:
        for done, (case, law) in enumerate(zip(seeds, cycle(LAWS)), 1):
            law(case)
            shown.show(done)
    print(f"{asked.runs:,} runs from seed {asked.first:,} on: every law held")


if __name__ == "__main__":
    main()

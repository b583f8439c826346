"""Compiled kernels and uncompiled ones decide alike: ``python -m tests.decide.agreeing``.

The tests take some batches. This takes 10,000 unless it is told another number.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from stream.cli.progress import gauge

BATCHES: Final = 20  # of a stream
PRINTING: Final = """
import sys
from tests.decide.streams import digest_of
first, streams, batches = map(int, sys.argv[1:])
for seed in range(first, first + streams):
    print(digest_of(seed, batches), flush=True)
"""


@contextmanager
def _printing(*arguments: int, **environ: str) -> Iterator[Iterator[str]]:
    """What a process of its own prints, line by line."""
    command = [sys.executable, "-c", PRINTING, *map(str, arguments)]
    env = os.environ | environ
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout
    assert process.returncode == 0, f"{command} ended with {process.returncode}"


def disagreements(first: int, streams: int, batches: int = BATCHES) -> Iterator[int | None]:
    """For each stream its seed, if the bytes that it comes to are others; None if they agree."""
    asked = first, streams, batches
    with _printing(*asked) as compiled, _printing(*asked, NUMBA_DISABLE_JIT="1") as uncompiled:
        for seed, one, other in zip(
            range(first, first + streams), compiled, uncompiled, strict=True
        ):
            yield None if one == other else seed


def main() -> None:
    """Compare, and say at the first difference which stream it was."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--batches", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    asked = parser.parse_args()
    streams = -(-asked.batches // BATCHES)
    with gauge("Comparing", streams * BATCHES, "batches", quiet=False) as shown:
        for done, seed in enumerate(disagreements(asked.first, streams), 1):
            assert seed is None, f"stream {seed} comes to other bytes"
            shown.show(done * BATCHES)
    print(f"{streams * BATCHES:,} batches from seed {asked.first:,} on: the same bytes")


if __name__ == "__main__":
    main()

"""Memory that was given back goes back to the system."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

GROW = """
import os
import numpy as np
from stream.host.allocator import let_go_of_large_blocks

def resident() -> int:
    with open("/proc/self/statm") as told:
        return int(told.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

assert let_go_of_large_blocks()
np.ones(1 << 21)  # 16 MiB: after it, glibc would keep its like
before = resident()
blocks = [np.ones(3 << 19) for _ in range(8)]
pins = [np.ones(1_000) for _ in range(60)]
del blocks
print((resident() - before) >> 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library: left alone")
def test_large_blocks_are_given_back_whatever_small_ones_stand_behind_them() -> None:
    ended = subprocess.run([sys.executable, "-c", GROW], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) < 20  # MiB, of 96 that were there

"""What a program prints where no kernel is compiled."""

from __future__ import annotations

import os
import subprocess
import sys


def uncompiled(program: str) -> str:
    """Run a program in a process of its own, in which warnings are errors; return its output."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()

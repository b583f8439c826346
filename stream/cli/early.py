"""The first and the last moments of a command, in which an end must not look like a crash.

Before it works it has begun nothing, so it ends at once, and well. It imports what costs nothing,
for it is run before everything else; a supervisor that thinks better of a start must not read of a
crash.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

ENDS = (signal.SIGTERM, signal.SIGHUP)


def heed_signals() -> None:
    """End at once on a signal, until the command sees to it itself: on SIGINT with 130.

    A worker ends with 0 on SIGTERM and SIGHUP; what is ignored (``nohup``) stays so.
    """
    program = sys.argv[0].replace(os.sep, "/")
    if not program.endswith(("/stream/__main__.py", "/offerstream")):
        return
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _interrupted)
    if is_worker():
        for number in ENDS:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, lambda *_: os._exit(0))


def is_worker() -> bool:
    """Whether the command is the one that runs until somebody ends it."""
    return "worker" in sys.argv[1:]


def interrupt_as_usual() -> None:
    """Have SIGINT raise KeyboardInterrupt again: from now on the command may have begun something.

    But for a worker, which begins when it heeds signals itself.
    """
    if signal.getsignal(signal.SIGINT) is _interrupted and not is_worker():
        signal.signal(signal.SIGINT, signal.default_int_handler)


def leave(code: int) -> NoReturn:
    """End a process that has closed what it had open, with all that it has printed.

    The interpreter is not taken apart: threads of libraries may still run, and one that finds its
    memory gone ends a worker with SIGSEGV.
    """
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # nobody may be left to read it
            print(end="", file=stream, flush=True)
    os._exit(code)


def _interrupted(*_: Any) -> None:
    os.write(2, b"offerstream: interrupted\n")
    os._exit(130)

"""How much memory the processes of a run hold at the most: told at its end, and bounded.

Rules:

- The kernel keeps the figures: a process's own peak (VmHWM), and the largest of the processes
  that it has waited for (getrusage). Neither depends on how busy the machine is.
- An app that has ended is garbage in cycles, and holds its models: megabytes of which the
  collector, which counts objects, does not know. Where a test left much, garbage is collected.
"""

from __future__ import annotations

import ctypes
import gc
import resource
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any, Final, NamedTuple

import pytest

from stream.host.allocator import let_go_of_large_blocks

MOST: Final = 1_000  # MB, of 10^6 bytes
MUCH: Final = 50  # MB more than after the last collection from which on garbage is collected
OFTEN: Final = 50  # tests after which it is, in any case
LONG: Final = 0.3  # s of a test that may have had an app


class Peak(NamedTuple):
    """What a process has held, in MB; the test in which its peak grew most, and by how much."""

    name: str
    own: float
    children: float
    test: str
    grown: float

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.own:.0f} MB, of which {self.grown:.0f} came with {self.test}; "
            f"the largest process that it started: {self.children:.0f} MB"
        )


def held_mb(what: str) -> float:
    """What this process holds, ``VmRSS``, or has held at the most, ``VmHWM``; 0 if unknown."""
    try:
        told = Path("/proc/self/status").read_text()
    except OSError:
        return 0.0
    return int(told.partition(f"{what}:")[2].split()[0]) * 1024 / 1e6


class Garbage:
    """Collected, and its memory given back: that takes some tenths of a second."""

    def __init__(self) -> None:
        self._left = held_mb("VmRSS")
        self._passed = 0

    def collect(self) -> None:
        """Collect it."""
        gc.collect()
        if (trim := getattr(ctypes.CDLL(None), "malloc_trim", None)) is not None:
            trim(0)
        self._left, self._passed = held_mb("VmRSS"), 0

    def after_test(self, seconds: float) -> None:
        """Collect it behind a long test, where much has come, and where that was long ago."""
        self._passed += 1
        much = held_mb("VmRSS") > self._left + MUCH
        if much or seconds > LONG or self._passed >= OFTEN:
            self.collect()


garbage: Final = Garbage()


class Peaks:
    """A plugin of pytest: notes the peak of each process, and fails a run that held too much."""

    def __init__(self, most: int = MOST) -> None:
        let_go_of_large_blocks()  # as a worker does
        self._bound = most
        self._found: list[Peak] = []
        self._most = ("no test", 0.0)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        """Note by how much a test has raised the peak."""
        before, began = held_mb("VmHWM"), monotonic()
        done = yield
        grown = held_mb("VmHWM") - before
        if grown > self._most[1]:
            self._most = item.nodeid, grown
        garbage.after_test(monotonic() - began)
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Hand the peak over to the process that tells all, or judge there."""
        children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e6
        config: Any = session.config
        if hasattr(config, "workeroutput"):
            name = config.workerinput["workerid"]
            config.workeroutput["peak"] = [name, held_mb("VmHWM"), children, *self._most]
            return
        if not self._found:
            self._found = [Peak("this process", held_mb("VmHWM"), children, *self._most)]
        if self.too_much and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take the peak of a process of pytest-xdist's."""
        if "peak" in getattr(node, "workeroutput", {}):  # it is not there after a crash
            self._found.append(Peak(*node.workeroutput["peak"]))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Tell each process's peak."""
        terminalreporter.write_sep("-", "memory at the most")
        for peak in sorted(self._found):
            terminalreporter.write_line(str(peak), red=peak in self.too_much)
        if self.too_much:
            terminalreporter.write_line(
                f"more than {self._bound} MB fail the run", red=True, bold=True
            )

    @property
    def too_much(self) -> list[Peak]:
        """The processes that held more than they may."""
        return [peak for peak in self._found if max(peak.own, peak.children) > self._bound]

"""Every way to wait comes to an end, and tells what was awaited and what was seen."""

from __future__ import annotations

import ast
import asyncio
import operator
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests import waiting

ENDLESS = "import time; print('hello', flush=True); time.sleep(3600)"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 0.05)


def endless() -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ENDLESS], stdout=subprocess.PIPE, text=True)


def test_what_holds_is_returned() -> None:
    looks = iter([0, 0, 7])
    assert waiting.until("a seven", lambda: next(looks), every=0.0) == 7


def test_a_look_in_vain_tells_what_was_awaited_and_seen_last() -> None:
    with pytest.raises(waiting.InVain, match=r"in vain for a seven; last seen: 6"):
        waiting.until("a seven", lambda: 6, lambda seen: seen == 7, every=0.0)


async def test_so_does_one_in_an_event_loop() -> None:
    async def look() -> str:
        return "six"

    with pytest.raises(waiting.InVain, match=r"in vain for a seven; last seen: six"):
        await waiting.eventually("a seven", look, lambda seen: seen == "seven", every=0.0)


def test_as_long_as_there_is_less_to_do_the_end_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: now[0], sleep=sleep))
    lags = [20, 19, 25, 18, 4, 0]
    looks = iter(lags)
    waiting.until("no lag", lambda: next(looks), operator.not_, left=float, every=0.04)
    looks = iter([20, 21, 21, 20, 0])
    with pytest.raises(waiting.InVain, match=r"waited 0\.08 s in vain for no lag; last seen: 21"):
        waiting.until("no lag", lambda: next(looks), operator.not_, left=float, every=0.04)


async def test_work_that_does_not_end_is_cancelled() -> None:
    for_ever = asyncio.Event()
    work = asyncio.ensure_future(for_ever.wait())
    with pytest.raises(waiting.InVain, match=r"in vain for Godot; last seen: a tree"):
        await waiting.within("Godot", work, lambda: "a tree")
    assert work.cancelled()


async def test_a_timeout_of_the_works_own_stays_one() -> None:
    async def work() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        await waiting.within("the work", work())


def test_a_process_that_does_not_end_is_told() -> None:
    with endless() as process:
        with pytest.raises(waiting.InVain, match=r"the end of .*last seen: its log"):
            waiting.ended(process, lambda: "its log")
        process.kill()


def test_a_reader_of_a_silent_process_is_not_kept() -> None:
    with endless() as process, pytest.raises(waiting.InVain, match="the words of"):
        waiting.line_with(process, "goodbye")


def test_a_process_that_ends_without_the_words_is_told_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiting, "PATIENCE", 60.0)
    command = [sys.executable, "-c", "print('hello')"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        pytest.raises(AssertionError, match="ended without 'goodbye': hello"),
    ):
        waiting.line_with(process, "goodbye")


def test_a_command_that_does_not_end_is_killed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = ""
    for patience in (0.5, 5.0, 50.0):  # until it has come to say something
        monkeypatch.setattr(waiting, "PATIENCE", patience)
        with pytest.raises(waiting.InVain) as vain:
            waiting.run([sys.executable, "-c", ENDLESS])
        told = str(vain.value)
        if "hello" in told:
            break
    assert "in vain for the end of" in told and "last seen: hello" in told


BY_HAND = {  # no waits: the load, and what is measured meanwhile, until they are told to end
    "chaos/faults.py:_longest_stall",
    "chaos/lab.py:_committed",  # one question, asked again by whoever asked
    "chaos/lab.py:_publish",
    "chaos/lives.py:_engine",
    "chaos/soak.py:soak",
    "waiting.py:until",
    "waiting.py:eventually",
    "waiting.py:within",
}


def waits_by_hand(function: ast.AST) -> bool:
    """Whether a function sleeps in a ``while`` loop, or sets a time limit of its own."""
    for node in ast.walk(function):
        called = getattr(getattr(node, "func", None), "attr", "")
        if called in ("wait_for", "timeout"):
            return "asyncio" in ast.unparse(node)
        if isinstance(node, ast.While):
            calls = [ast.unparse(one) for one in ast.walk(node) if isinstance(one, ast.Call)]
            if any("sleep(" in call and "sleep(0)" not in call for call in calls):
                return True
    return False


def test_nobody_waits_by_hand() -> None:
    tests = Path(__file__).parent
    found = {
        f"{path.relative_to(tests)}:{function.name}"
        for path in tests.rglob("*.py")
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef) and waits_by_hand(function)
    }
    assert found == BY_HAND

"""An end that is not waited for says why the worker ended before it leaves."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from stream.config import ConfigError, Settings
from stream.worker.running import _End


@pytest.mark.parametrize(
    ("reason", "code", "told"),
    [
        (ConfigError("topic clicks is missing"), 2, 1),  # else the command tells it
        (RuntimeError("told already"), 1, 0),
        (None, 3, 0),
    ],
)
def test_it_says_the_reason_that_nobody_else_comes_to_say(
    reason: BaseException | None,
    code: int,
    told: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    left: list[int] = []
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr("logging.shutdown", lambda: None)
    app = SimpleNamespace(settings=Settings(), consumer=SimpleNamespace(uncommitted=lambda: 7))
    end = _End(app, reason)  # type: ignore[arg-type]
    end.cancel()
    end._leave("no broker answers")
    assert left == [code]
    assert caplog.text.count("the worker ends: ") == told
    assert reason is None or caplog.text.count(str(reason)) == told
    assert "no broker answers: leaving; 7 records" in caplog.text

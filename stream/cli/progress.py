"""Progress for people: a bar on a terminal, a plain line every few seconds anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Final, Protocol

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

_EVERY: Final = 3.0  # s between plain lines


class Gauge(Protocol):
    """Shows how far something is."""

    def show(self, done: int, note: str = "") -> None:
        """``done`` of the total, with a word about it."""


class _Silent:
    def show(self, done: int, note: str = "") -> None:
        """Show nothing."""


class _Lines:
    def __init__(self, title: str, total: int | None, unit: str) -> None:
        self._title, self._total, self._unit = title, total, unit
        self._began = self._said = perf_counter()

    def show(self, done: int, note: str = "") -> None:
        """Say a line, unless one was said just now."""
        now = perf_counter()
        if now - self._said < _EVERY:
            return
        self._said = now
        rate = done / (now - self._began)
        of = "" if self._total is None else f" of {self._total:,}"
        left = ""
        if self._total is not None and rate:
            left = f", {(self._total - done) / rate:,.0f} s left"
        more = f", {note}" if note else ""
        click.echo(
            f"{self._title}: {done:,}{of} {self._unit} ({rate:,.0f}/s{left}){more}", err=True
        )


class _Bar:
    def __init__(self, progress: Progress, title: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=total, note="", rate="")
        self._began = perf_counter()

    def show(self, done: int, note: str = "") -> None:
        """Move the bar."""
        rate = done / max(perf_counter() - self._began, 1e-9)
        self._progress.update(self._task, completed=done, note=note, rate=f"{rate:,.0f}/s")


@contextmanager
def gauge(title: str, total: int | None, unit: str, *, quiet: bool) -> Iterator[Gauge]:
    """Show the progress of something on stderr.

    Parameters
    ----------
    title, unit
        What is going on, and of what.
    total
        How much there is; None if nobody knows.
    quiet
        Show nothing, unless there is a terminal.
    """
    if not sys.stderr.isatty():
        yield _Silent() if quiet else _Lines(title, total, unit)
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        yield _Bar(progress, title, total)

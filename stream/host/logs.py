"""Logging: to stderr, nothing secret, nobody's data, and the same thing a few times only.

Rules:

- What may be told is for :mod:`stream.host.discretion` to say, of every logger's lines.
- ``log_format`` says how a line is written: for people, or as a JSON object for collectors.
- ``log_level`` is that of our own lines. A client library speaks at ``warning``, and at ``info``
  where we speak at ``debug``: its own ``debug`` is of requests and records as they are.
- Of one kind of line (same logger, level and text) the first few of a period are written, and the
  number of those that followed.
- That Faust's services start and stop, one by one, is told at ``debug`` only.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, TextIO, TypeAlias

import orjson

from stream.config import LogFormat, LogLevel, Secret
from stream.host.discretion import (
    OURS,
    filled,
    guard_tracebacks,
    keep_secret,
    scrubbed,
    told_trace,
)

Level: TypeAlias = LogLevel | Literal["critical"]

FORMAT: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"
FIRST: Final = 5  # of a kind that are written: enough to see that it is one
PERIOD: Final = 10.0  # seconds, in which others like them are counted only
KINDS: Final = 256  # kinds that are counted at once

_OF_A_SERVICE: Final = re.compile(r"\[\^.*?\]: ")  # as mode writes what its services do
_DIGITS: Final = re.compile(r"\d+")


def start_logging(
    level: Level,
    secrets: Iterable[Secret] = (),
    stream: TextIO | None = None,
    form: LogFormat = "console",
) -> None:
    """Log from now on, in the whole process; what was set up before is no more.

    Parameters
    ----------
    level
        Of our own lines.
    secrets
        What is masked wherever it stands.
    stream
        Where to; stderr unless given.
    form
        How lines are written.
    """
    keep_secret(secrets)
    guard_tracebacks()
    logging.raiseExceptions = False  # it would print the record that could not be written
    logging.captureWarnings(True)
    handler = Sparing(stream or sys.stderr)
    handler.setFormatter(Discreet(FORMAT) if form == "console" else AsJson())
    if level != "debug":
        handler.addFilter(_is_no_services)
    libraries = logging.INFO if level == "debug" else max(logging.WARNING, _number(level))
    logging.basicConfig(level=libraries, handlers=[handler], force=True)
    logging.getLogger(OURS).setLevel(_number(level))


class Discreet(logging.Formatter):
    """Formats a record with what may be told of it."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and the trace of its exception."""
        ours = record.name.split(".")[0] == OURS
        text = record.msg if isinstance(record.msg, str) else f"<{type(record.msg).__name__}>"
        record.message = filled(text, record.args, ours=ours)
        error = record.exc_info[1] if record.exc_info else None
        return self.line(record, None if error is None else told_trace(error))

    def line(self, record: logging.LogRecord, trace: str | None) -> str:
        """The line of a record whose ``message`` may be told, and the trace below it."""
        record.asctime = self.formatTime(record, self.datefmt)
        line = self.formatMessage(record)
        return line if trace is None else f"{line}\n{trace}"


class AsJson(Discreet):
    """Formats a record as one JSON object: ``time`` in UTC, ``level``, ``logger``, ``message``."""

    def line(self, record: logging.LogRecord, trace: str | None) -> str:
        """The object; ``trace`` stands in it."""
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        told = {
            "time": time,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.message,
        }
        if trace is not None:
            told["trace"] = trace
        return orjson.dumps(told).decode()


class RepeatCount(NamedTuple):
    """How many of a kind were not written, and the kind's level, logger and text."""

    number: int
    level: str
    logger: str
    text: str


class Repeats:
    """Which lines are written, and how many like them are not.

    >>> now = [0.0]
    >>> repeats = Repeats(lambda: now[0])
    >>> [repeats.passes(("ERROR", "x", "away")) for _ in range(7)]
    [True, True, True, True, True, False, False]
    >>> now[0] = 10.0
    >>> repeats.due(), repeats.passes(("ERROR", "x", "away"))
    ([RepeatCount(number=2, level='ERROR', logger='x', text='away')], True)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[tuple[str, str, str], tuple[float, int]] = {}

    def passes(self, kind: tuple[str, str, str]) -> bool:
        """Whether a line of this kind is written; call :meth:`due` first."""
        began, count = self._seen.get(kind, (self._clock(), 0))
        self._seen[kind] = began, count + 1
        return count < FIRST

    def due(self, end: bool = False) -> list[RepeatCount]:
        """What was not written of the kinds whose period is over, or at the end of all."""
        now, over = self._clock(), list[tuple[str, str, str]]()
        for kind, (began, _) in self._seen.items():
            if end or now >= began + PERIOD or len(self._seen) - len(over) > KINDS:
                over.append(kind)
        counts = [(kind, self._seen.pop(kind)[1] - FIRST) for kind in over]
        return [RepeatCount(number, *kind) for kind, number in counts if number > 0]


class Sparing(logging.StreamHandler[TextIO]):
    """Writes the first lines of a kind, and counts the others."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._repeats = Repeats(clock)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, or count it."""
        self._tell(self._repeats.due())
        if self._repeats.passes(_kind(record)):
            super().emit(record)

    def close(self) -> None:
        """Write what was counted and not told yet: `logging.shutdown` sees to it at the end."""
        self.acquire()
        try:
            self._tell(self._repeats.due(end=True))
        finally:
            self.release()
        super().close()

    def _tell(self, counts: Iterable[RepeatCount]) -> None:
        for number, level, logger, text in counts:
            words = "%d more like this within %g s: " + text.replace("%", "%%")
            values = (logging.getLevelNamesMapping()[level], "", 0, words, (number, PERIOD), None)
            super().emit(logging.LogRecord(logger, *values))


def _is_no_services(record: logging.LogRecord) -> bool:
    service = isinstance(record.msg, str) and _OF_A_SERVICE.match(record.msg)
    return record.levelno > logging.INFO or not service


def _kind(record: logging.LogRecord) -> tuple[str, str, str]:
    text = str(record.msg)
    if not record.args:  # filled in before: what differs is not of the kind
        text = _DIGITS.sub("#", scrubbed(text))
    return record.levelname, record.name, text.partition("\n")[0][:200]


def _number(level: Level) -> int:
    return logging.getLevelNamesMapping()[level.upper()]

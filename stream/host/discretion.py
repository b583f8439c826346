"""What may stand in a log, a traceback or a message: no secret, no person, whoever wrote it.

Rules:

- The text of a log call is code, and stays. What is filled in stays where it is a number, a topic's
  partition or a plain text of ours; a record is told by its place, an exception by its type, and
  everything else by its type alone.
- An exception's words stay if they are ours or the operating system's. Others may hold what was
  being worked on: the trace tells where it was, and the dead letter or the offset tells on what.
- What stands in quotes in the words of a library is cut: so Python shows values.
- A known secret is masked wherever it stands, and in the spellings in which libraries show it;
  the login in a URL, too.
"""

from __future__ import annotations

import base64
import os
import re
import sys
import threading
from collections.abc import Iterable, Mapping
from traceback import format_tb
from types import TracebackType
from typing import Any, Final
from urllib.parse import quote

from stream.config import ConfigError, Secret

MASK: Final = "***"
CUT: Final = "…"
OURS: Final = "stream"  # the package, and so the first part of our loggers' names
SHORTEST: Final = 3  # a shorter secret is no secret, and masking it would garble every line
DEEPEST: Final = 8  # exceptions that are told of one chain

_QUOTED: Final = re.compile(r"""(?<!\w)[bBrRuU]{0,2}(['"])(?:\\.|(?!\1).)*(?:\1|$)""", re.DOTALL)
_LOGIN: Final = re.compile(r"(?<=://)[^/\s@]*@")
_masked: list[str] = []


def keep_secret(secrets: Iterable[Secret]) -> None:
    """Mask these from now on, in this process."""
    for secret in secrets:
        text = secret.reveal()
        if len(text) >= SHORTEST:
            _masked.extend(spelling for spelling in _spellings(text) if spelling not in _masked)
    _masked.sort(key=len, reverse=True)  # the longest first: one may be a part of another


def masked(text: str) -> str:
    """The text without secrets.

    >>> masked("no broker at kafka://ann:hunter2@shop:9092")
    'no broker at kafka://***@shop:9092'
    """
    for secret in _masked:
        text = text.replace(secret, MASK)
    return _LOGIN.sub(f"{MASK}@", text)


def scrubbed(text: str) -> str:
    r"""The words of a library without the values that stand in them.

    >>> scrubbed("can't decode b'\\xffann' of <Task exception=KeyError('ann')>")
    "can't decode … of <Task exception=KeyError(…)>"
    """
    return masked(_QUOTED.sub(CUT, text))


def told(value: object, *, ours: bool = False) -> object:
    """A value as it may stand in a log; ``ours`` says that a text of it is.

    >>> told(3), str(told("a b")), str(told(KeyError("ann"))), str(told(b"ann"))
    (3, 'a b', 'KeyError', '<bytes>')
    """
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return _Plain(masked(value) if ours else scrubbed(value))
    if isinstance(value, os.PathLike):
        return _Plain(masked(str(value)))
    if isinstance(value, BaseException):
        return _Plain(told_error(value))
    if isinstance(value, type) or callable(value):
        return _Plain(getattr(value, "__qualname__", type(value).__name__))
    return _Plain(_place(value) or f"<{type(value).__name__}>")


def told_error(error: BaseException) -> str:
    """An exception's type, and its words where they may be told.

    >>> told_error(ValueError("not an age: 'ann'")), told_error(ConfigError("partitions is 0"))
    ('ValueError', 'ConfigError: partitions is 0')
    """
    kind, words = type(error).__name__, ""
    if isinstance(error, ConfigError):
        words = masked(str(error))
    elif isinstance(error, OSError) and error.strerror:
        where = "" if error.filename is None else f": {error.filename}"
        words = masked(scrubbed(str(error.strerror)) + where)
    elif isinstance(error, SystemExit) and isinstance(error.code, int):
        words = str(error.code)
    elif type(error).__module__.split(".")[0] in (OURS, "aiokafka"):
        words = scrubbed(str(error))
    return f"{kind}: {words}" if words else kind


def told_trace(error: BaseException, deep: int = DEEPEST) -> str:
    """An exception with where it came from, and the exceptions behind it; files and code alone."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = []
    if before is not None and deep:
        lines = [told_trace(before, deep - 1), "", "which led to:", ""]
    if error.__traceback__ is not None:
        lines += ["Traceback (most recent call last):", *_frames(error.__traceback__)]
    lines.append(told_error(error))
    if isinstance(error, BaseExceptionGroup) and deep:
        for one in error.exceptions:
            lines += ["", f"one of {len(error.exceptions)}:", told_trace(one, deep - 1)]
    return "\n".join(lines)


def guard_tracebacks() -> None:
    """Print what nobody caught, in any thread, as it may be told."""

    def uncaught(
        _: type[BaseException], error: BaseException, __: TracebackType | None = None
    ) -> None:
        print(told_trace(error), file=sys.stderr)

    def in_thread(found: threading.ExceptHookArgs) -> None:
        if found.exc_value is not None and found.exc_type is not SystemExit:
            uncaught(found.exc_type, found.exc_value)

    def unraisable(found: Any) -> None:
        if found.exc_value is not None:
            uncaught(found.exc_type, found.exc_value)

    sys.excepthook = uncaught
    threading.excepthook = in_thread
    sys.unraisablehook = unraisable


class _Plain(str):
    """A text that ``%r`` shows as ``%s`` does: it was cleaned, and needs no quotes."""

    def __repr__(self) -> str:
        return str(self)


def _place(value: object) -> str | None:
    """Where a record stands, or which partition it is; None for anything else."""
    topic, partition = getattr(value, "topic", None), getattr(value, "partition", None)
    if not isinstance(topic, str) or not isinstance(partition, int):
        return None
    offset = getattr(value, "offset", None)
    return f"{topic}-{partition}" + (f"@{offset}" if isinstance(offset, int) else "")


def _frames(trace: TracebackType) -> list[str]:
    return [line.rstrip("\n") for line in format_tb(trace)]


def _spellings(text: str) -> Iterable[str]:
    """A secret, as it is and as it may be shown."""
    data = text.encode()
    return dict.fromkeys(
        (
            text,
            repr(text)[1:-1],
            repr(data)[2:-1],
            quote(text, safe=""),
            base64.b64encode(data).decode(),
            data.hex(),
        )
    )


def filled(text: str, args: object, *, ours: bool) -> str:
    """The text of a log call with its arguments, each as it may be told.

    >>> filled("%s of %d: %r", ("clicks", 3, {"key": "ann"}), ours=False)
    'clicks of 3: <dict>'
    """
    if not args:
        return masked(text) if ours else scrubbed(text)
    try:
        if isinstance(args, Mapping) and "%(" in text:
            return masked(text % {key: told(value, ours=ours) for key, value in args.items()})
        values = args if isinstance(args, tuple) else (args,)
        return masked(text % tuple(told(value, ours=ours) for value in values))
    except (TypeError, ValueError, KeyError):
        return masked(text)  # a wrong call says at least what it is about

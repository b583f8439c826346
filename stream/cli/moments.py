"""Options that are moments or spans of time."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any, Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])")
STREAM: Final = "stream"


def now_ms() -> int:
    """The time of this machine, in ms since 1970."""
    return time.time_ns() // 1_000_000


class MomentParam(click.ParamType):
    """``now``, ``stream``, RFC 3339 or ms since 1970; becomes ms, None for ``stream``."""

    name = "TIME"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | None:
        """Read it."""
        if isinstance(value, int) or value == STREAM:
            return None if value == STREAM else value
        if value == "now":
            return now_ms()
        if value.isascii() and value.isdigit() and len(value) < 15:
            return int(value)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None:
            self.fail("give now, stream, or a time such as 2024-05-01T09:30:00Z", param, ctx)
        return round(moment.timestamp() * 1000)


class Span(click.ParamType):
    """A span such as ``90s``, ``15m``, ``6h`` or ``7d``; becomes seconds."""

    name = "SPAN"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        if isinstance(value, float):
            return value
        match = _SPAN.fullmatch(value)
        if match is None:
            self.fail("give a number and s, m, h or d, such as 15m or 7d", param, ctx)
        return float(int(match[1]) * _UNITS[match[2]])

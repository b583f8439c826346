"""The one exception inside the codec: how a nested reader says that the sender is at fault.

It never leaves the codec; what callers see is the :class:`~stream.domain.event.Rejection` in it.
"""

from __future__ import annotations

from stream.domain.event import Rejection, RejectionCode


class Refused(Exception):  # the sender is at fault, as expected
    """A record that is no event; ``rejection`` says why."""

    def __init__(self, code: RejectionCode, detail: str) -> None:
        super().__init__(detail)
        self.rejection = Rejection(code, detail)

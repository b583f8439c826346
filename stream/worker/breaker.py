"""The breaker: a worker with a bug stops before the bug turns a day's events into dead letters.

Rules: it counts bugs of ours alone; what senders get wrong is no reason to stop the others. Time is
cut into slots; it trips when bugs have passed a share of the records in each slot of the last
minute that had records. The batch that trips it is not acknowledged and will be decided again.
"""

from __future__ import annotations

from time import monotonic
from typing import Final

SHARE: Final = 0.05
SLOT: Final = 10.0
WINDOW: Final = 60.0


class Tripped(Exception):
    """Too many records met a bug of ours."""


class Breaker:
    """Watches the share of records that meet a bug."""

    def __init__(self) -> None:
        self._slot = 0
        self._records = self._bugs = 0
        self._since: float | None = None

    def note(self, records: int, bugs: int) -> None:
        """Take note of a batch.

        Raises
        ------
        Tripped
            If bugs have passed ``SHARE`` of the records for ``WINDOW`` seconds.
        """
        now = monotonic()
        slot = int(now / SLOT)
        if slot != self._slot:
            self._close(now)
            self._slot, self._records, self._bugs = slot, 0, 0
        self._records += records
        self._bugs += bugs

    def _close(self, now: float) -> None:
        """Judge the slot that is over."""
        if self._bugs <= SHARE * self._records:
            if self._records:
                self._since = None
        elif self._since is None:
            self._since = self._slot * SLOT
        elif now - self._since >= WINDOW:
            raise Tripped(
                f"{self._bugs} of the last {self._records} records met a bug of offerstream's, and "
                f"it has been so for {now - self._since:.0f} s: this worker stops before more of "
                "them become dead letters. Run another release, and send the dead letters again"
            )

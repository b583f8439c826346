"""Where an earlier run of the same replay ended: a pure filter of what is there already.

Rules:

- Every record carries, in two headers, which replay it is of and its ``row``. The records of a
  topic's partition are written in order, so the last of them tells that all before it are there.
- Another file, mapping or limit is another replay: it resumes nothing. So does a partition into
  which something else has been written last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, TypeAlias

from stream.replay.outcome import PublishedRecord

REPLAY_HEADER: Final = "offerstream-replay"
ROW_HEADER: Final = "offerstream-replay-row"

#: Kafka's headers.
Headers: TypeAlias = Sequence[tuple[str, bytes | None]]


def headers_of(replay_id: str, record: PublishedRecord) -> tuple[tuple[str, bytes], ...]:
    """The headers that a record of a replay is written with."""
    return ((REPLAY_HEADER, replay_id.encode()), (ROW_HEADER, b"%d" % record.row))


class Resume(NamedTuple):
    """What is there: the row of the last record, by topic kind and partition."""

    rows: Mapping[tuple[str, int], int] = {}

    def has(self, record: PublishedRecord, partition: int) -> bool:
        """Whether the record has been written to its partition.

        >>> record = PublishedRecord("clicks", b"customer", b"{}", 0, row=7)
        >>> Resume({("clicks", 2): 7}).has(record, 2), Resume({("clicks", 2): 6}).has(record, 2)
        (True, False)
        """
        return record.row <= self.rows.get((record.kind, partition), 0)


def resume_from(replay_id: str, last: Iterable[tuple[str, int, Headers]]) -> Resume:
    """Tell from the headers of the last record of each partition what is there.

    Parameters
    ----------
    replay_id
        Of the replay that wants to go on.
    last
        Topic kind, partition, and headers of its last record.

    Examples
    --------
    >>> headers = headers_of("5a1f", PublishedRecord("clicks", b"customer", b"{}", 0, row=7))
    >>> resume_from("5a1f", [("clicks", 0, headers), ("clicks", 1, ())]).rows
    {('clicks', 0): 7}
    >>> resume_from("77aa", [("clicks", 0, headers)]).rows
    {}
    """
    rows = {}
    for kind, partition, headers in last:
        found = dict(headers)
        row = found.get(ROW_HEADER) or b""
        if found.get(REPLAY_HEADER) == replay_id.encode() and row.isdigit():
            rows[kind, partition] = int(row)
    return Resume(rows)

"""The features of candidates for an offer, for all of them at once."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from stream.core.arriving import arrived
from stream.core.features import (
    describe_line,
    describe_moment,
    describe_offer,
    hash_of,
)
from stream.core.layout import FEATURES, MARK, Table, unpack
from stream.core.offer import Origin
from stream.models.kernel import kernel

ORIGINS: Final = {origin: hash_of("origin", origin) for origin in Origin}


@kernel
def describe(record: Any, candidates: Any, origins: Table, discount: int, rows: Table) -> Table:
    """The features of candidates as one customer meets them at one moment.

    Parameters
    ----------
    record : bytes
        The customer's.
    candidates : bytes
        The candidates as the lines of an event (see :mod:`stream.core.arriving`).
    origins : int64 (n,)
        The hash of each candidate's origin.
    discount
        In percent.
    rows : ROW (1,)
        Where the record is laid out.

    Returns
    -------
    uint32 (n, features)
    """
    arrival = arrived(candidates)
    unpack(np.frombuffer(record, MARK), rows)
    customer = rows[0]
    time, n = arrival.event[0]["time"], len(arrival.lines)
    described = np.empty((n, FEATURES), np.uint32)
    for line in range(n):
        row = described[line]
        if line:
            row[:] = described[line - 1]
        else:
            describe_moment(row, customer, time)
        describe_line(row, customer, arrival, line, line)
        describe_offer(row, origins[line], discount)
    return described

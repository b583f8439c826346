"""The base of the core's values: immutable, compared by content, quick to make and to change.

A changed copy is made by ``msgspec.structs.replace``, in a fraction of a microsecond; a decision
makes a dozen of them.
"""

from __future__ import annotations

import msgspec


class Value(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An immutable record; encoded as an array of its fields in order.

    ``gc=False``: values never hold cycles, so the garbage collector need not look at them.
    """

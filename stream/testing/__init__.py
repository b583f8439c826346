"""The whole product inside a test: events in, offers out, time and crashes at the caller's word.

:class:`stream.testing.Driver` is told of in docs/testing.md.
"""

from stream.testing.driver import Driver
from stream.testing.posting import EVENT_KEY
from stream.testing.topics import Entry, Learned, Offer, Refusal

__all__ = ["EVENT_KEY", "Driver", "Entry", "Learned", "Offer", "Refusal"]
